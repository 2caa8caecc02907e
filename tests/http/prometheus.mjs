// A strict reader of the Prometheus text format 0.0.4, written from its description
// (https://prometheus.io/docs/instrumenting/exposition_formats): what a scraper might forgive is refused here.
import assert from "node:assert/strict";

const TYPES = ["counter", "gauge", "histogram", "summary", "untyped"];
const METRIC = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL = /^[a-zA-Z_][a-zA-Z0-9_]*$/;
const NUMBER = /^(?:[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?|NaN|[+-]Inf)$/;

/** Reads a whole document: a Map from each family's name to `{type, help, samples: [{name, labels, value}]}`. */
export function readMetrics(text) {
  assert.ok(text.endsWith("\n"), "the last line ends");
  assert.ok(!text.includes("\r"), "lines end with a line feed alone");
  const families = new Map();
  let current;
  const begin = (name, line) => {
    if (current?.name === name) return current;
    assert.ok(!families.has(name), `all lines of ${name} stand together: ${line}`);
    current = { name, type: undefined, help: undefined, samples: [] };
    families.set(name, current);
    return current;
  };
  for (const line of text.slice(0, -1).split("\n")) {
    if (line === "") continue;
    const [, keyword, name, rest] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? [];
    if (keyword === undefined) {
      if (line.startsWith("#")) continue;
      addSample(current, readSample(line), line);
      continue;
    }
    assert.match(name, METRIC, line);
    const family = begin(name, line);
    const field = keyword.toLowerCase();
    assert.equal(family[field], undefined, `one ${keyword} for each family: ${line}`);
    assert.equal(family.samples.length, 0, `${keyword} comes before the samples: ${line}`);
    if (keyword === "TYPE") assert.ok(TYPES.includes(rest), line);
    family[field] = rest;
  }
  for (const family of families.values()) assertFamily(family);
  return families;
}

function addSample(family, sample, line) {
  assert.ok(family?.type, `a sample has a TYPE before it: ${line}`);
  const suffixes = { histogram: ["_bucket", "_sum", "_count"], summary: ["", "_sum", "_count"] }[family.type] ?? [""];
  assert.ok(suffixes.some((suffix) => sample.name === `${family.name}${suffix}`), `${sample.name} belongs to ${family.name}`);
  family.samples.push(sample);
}

/** One line: name, labels, value, and nothing after it (a time stamp would be the exporter's, not the scrape's). */
function readSample(line) {
  const [, name, inside, value] = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
  assert.ok(name, `a sample: ${line}`);
  assert.match(value, NUMBER, line);
  return { name, labels: readLabels(inside ?? "", line), value: Number(value.replace("Inf", "Infinity")) };
}

function readLabels(text, line) {
  const labels = {};
  let rest = text;
  while (rest !== "") {
    const [whole, name, quoted] = /^([^=]+)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|$)/.exec(rest) ?? [];
    assert.ok(whole, `labels: ${line}`);
    assert.match(name, LABEL, line);
    assert.ok(!(name in labels), `a label once: ${line}`);
    labels[name] = quoted.replace(/\\(.)/g, (_, one) => (one === "n" ? "\n" : one));
    rest = rest.slice(whole.length);
  }
  return labels;
}

const seriesOf = (labels, without) => JSON.stringify(Object.entries(labels).filter(([name]) => name !== without).sort());

function assertFamily({ name, type, help, samples }) {
  assert.ok(type && help, `${name} has a TYPE and a HELP`);
  const seen = new Set();
  for (const sample of samples) {
    const series = `${sample.name} ${seriesOf(sample.labels)}`;
    assert.ok(!seen.has(series), `a series once: ${series}`);
    seen.add(series);
    if (type === "counter") {
      assert.match(name, /_total$/, "a counter's name ends in _total");
      assert.ok(sample.value >= 0, `${series} counts`);
    }
  }
  if (type === "histogram") assertHistogram(name, samples);
}

function assertHistogram(name, samples) {
  const series = new Map();
  for (const { name: full, labels, value } of samples) {
    const key = seriesOf(labels, "le");
    const one = series.get(key) ?? { buckets: [] };
    series.set(key, one);
    if (full.endsWith("_bucket")) one.buckets.push([labels.le, value]);
    else one[full.slice(name.length + 1)] = value;
  }
  for (const [key, { buckets, sum, count }] of series) {
    const bounds = buckets.map(([le]) => (le === "+Inf" ? Infinity : Number(le)));
    assert.ok(bounds.length > 1 && bounds.every((bound, at) => at === 0 || bound > bounds[at - 1]), `${name} ${key}: bounds ascend: ${bounds}`);
    assert.equal(bounds.at(-1), Infinity, `${name} ${key} ends with +Inf`);
    const counts = buckets.map(([, value]) => value);
    assert.ok(counts.every((value, at) => Number.isInteger(value) && (at === 0 || value >= counts[at - 1])), `${name} ${key}: counts are cumulative: ${counts}`);
    assert.equal(counts.at(-1), count, `${name} ${key}: the last bucket counts all`);
    assert.ok(Number.isFinite(sum) && sum >= 0, `${name} ${key} has a sum`);
  }
}

/** Samples of all families whose labels include these. */
export const samplesWith = (families, labels) =>
  [...families.values()].flatMap(({ samples }) => samples).filter((sample) => Object.entries(labels).every(([name, value]) => sample.labels[name] === value));
