// The reader of metrics refuses what is wrong, or nothing that it clears would mean anything.
import assert from "node:assert/strict";
import { test } from "node:test";
import { readMetrics } from "./prometheus.mjs";

const histogram = (lines) => `# HELP h_ms Times.\n# TYPE h_ms histogram\n${lines.join("\n")}\n`;

test("a good document is read, with escapes, numbers and histograms", () => {
  const text = `# a comment\n# HELP c_total Counted.\n# TYPE c_total counter\nc_total{a="x\\"y\\\\z\\n"} 3\nc_total{a="b",} 1e3\n\n${histogram(['h_ms_bucket{le="1"} 1', 'h_ms_bucket{le="+Inf"} 2', "h_ms_sum 4.5", "h_ms_count 2"])}`;
  const families = readMetrics(text);
  assert.deepEqual(families.get("c_total").samples.map(({ labels, value }) => [labels.a, value]), [['x"y\\z\n', 3], ["b", 1000]]);
  assert.equal(families.get("h_ms").samples.length, 4);
});

const good = ['h_ms_bucket{le="1"} 1', 'h_ms_bucket{le="+Inf"} 2', "h_ms_sum 4.5", "h_ms_count 2"];
const wrong = [
  ["no end of line", "# HELP a b\n# TYPE a gauge\na 1"],
  ["carriage returns", "# HELP a b\r\n# TYPE a gauge\r\na 1\r\n"],
  ["a sample without a type", "a 1\n"],
  ["a type that there is not", "# HELP a b\n# TYPE a number\na 1\n"],
  ["no help", "# TYPE a gauge\na 1\n"],
  ["a family in two places", "# HELP a b\n# TYPE a gauge\na 1\n# HELP c d\n# TYPE c gauge\nc 1\n# TYPE a gauge\n"],
  ["another family's sample", "# HELP a b\n# TYPE a gauge\nc 1\n"],
  ["a series twice", '# HELP a b\n# TYPE a gauge\na{x="1",y="2"} 1\na{y="2",x="1"} 2\n'],
  ["a label twice", '# HELP a b\n# TYPE a gauge\na{x="1",x="2"} 1\n'],
  ["a label without quotes", "# HELP a b\n# TYPE a gauge\na{x=1} 1\n"],
  ["an escape that there is not", '# HELP a b\n# TYPE a gauge\na{x="\\t"} 1\n'],
  ["no number", "# HELP a b\n# TYPE a gauge\na one\n"],
  ["a counter that is not called one", "# HELP a b\n# TYPE a counter\na 1\n"],
  ["a counter below zero", "# HELP a_total b\n# TYPE a_total counter\na_total -1\n"],
  ["a histogram without +Inf", histogram(good.filter((line) => !line.includes("Inf")))],
  ["a histogram that is not cumulative", histogram(good.map((line) => line.replace('le="1"} 1', 'le="1"} 3')))],
  ["a histogram whose count is another", histogram(good.map((line) => line.replace("count 2", "count 3")))],
  ["a histogram without a sum", histogram(good.filter((line) => !line.includes("sum")))],
  ["bounds out of order", histogram(['h_ms_bucket{le="2"} 1', ...good])],
];
for (const [name, text] of wrong) test(`refused: ${name}`, () => assert.throws(() => readMetrics(text), assert.AssertionError));
