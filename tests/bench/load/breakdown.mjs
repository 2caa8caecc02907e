// Where a redemption's time goes: what the objects ask of their storage and of each other, counted, and a CPU profile of the
// runtime, both by redemption. In runs of their own, so that nothing of it is in the figures.
import { Watch } from "./direct.mjs";
import { byFunction, bySubject, profiled } from "./profile.mjs";
import { RedeemingShop, edgeProgram, freeInspectorPort, startServer, watchedProgram } from "./servers.mjs";
import { closedLoop, openLines } from "./wire.mjs";

const LINES = 32;
const MEMBERS = 200;
const FUNCTIONS_SHOWN = 25;
const STATEMENTS_SHOWN = 20;

// The innermost function that one of these knows decides, so the general ones stand last.
const SUBJECTS = [
  ["waiting for the load", /^\(idle\)$/],
  ["collecting garbage", /^\(garbage collector\)$/],
  ["the runtime itself: connections, files, commits", /^\(program\)$/],
  ["SQL", /^counterfoil_edge::sql::|__wbg_exec|^exec$|__wbg_raw|__wbg_toArray/],
  ["transactions", /transaction_sync|__wbg_transactionSync|^transactionSync$/],
  ["timers and alarms", /worker::delay|[sS]etTimeout|clearTimeout|set_alarm|setAlarm/],
  ["bodies of requests and answers", /ByteStream|worker::streams|releaseLock|getReader|::text|__wbg_text|::bytes|arrayBuffer|__wbg_read_/],
  ["messages sent to objects", /calls::Objects|calls::post|Request::new_with_init|__wbg_fetch|getByName|^fetch$|^Request$/],
  ["answers and headers", /answer::|worker::response|^Response$|Headers|headers/],
  ["reading JSON", /serde_json::de|serde_core::de|Deserialize|serde_json::read|core::json/],
  ["writing JSON", /serde_json::ser|Serialize|serde_json::value/],
  ["hashes and MACs", /sha2|hmac|compress|hkdf/],
  ["ids, hexadecimal, Base64", /hex::|base64|core::ids/],
  ["memory", /dlmalloc|raw_vec|__rust_(de|re)?alloc/],
  ["promises, tasks and closures", /queueMicrotask|schedule_task|Promise|_cb_unref|JsFuture|js_sys::futures|wasm_bindgen::convert/],
  ["the objects' own code", /counterfoil_/],
];

/** Redeems `count` codes after a warm-up, around `between`. */
async function redeemSome(runtime, { count, memberCount }, between) {
  const shop = await RedeemingShop.open(runtime, { memberCount });
  await shop.stock(2 * memberCount + count);
  const lines = openLines(runtime.url, LINES);
  const next = () => ({ bytes: shop.redemption().bytes, expect: 201 });
  await closedLoop(lines, next, { count: 2 * memberCount });
  const result = await between(() => closedLoop(lines, next, { count }));
  for (const line of lines) line.close();
  return result;
}

/** Calls for each redemption, by object: statements, transactions, alarms, messages received; and the commonest statements. */
export async function countCalls({ count = 1_000, memberCount = MEMBERS, build = "release" } = {}) {
  const runtime = await startServer(watchedProgram(build), { vars: { WATCHED: "1" } });
  try {
    const watch = new Watch(runtime.url);
    const counted = await redeemSome(runtime, { count, memberCount }, async (work) => {
      await watch.counts();
      await work();
      return watch.counts();
    });
    const each = (calls) => Object.fromEntries(Object.entries(calls).map(([what, times]) => [what, times / count]));
    const objects = Object.entries(counted).filter(([name]) => !name.includes(":"));
    const statements = Object.entries(counted).filter(([name]) => name.endsWith(": statements"));
    const common = statements.flatMap(([name, calls]) => Object.entries(calls).map(([text, times]) => ({ object: name.split(":")[0], text, each: times / count })));
    return {
      by_object: Object.fromEntries(objects.map(([name, calls]) => [name, each(calls)])),
      statements_each: objects.reduce((sum, [, { statements: times = 0 }]) => sum + times, 0) / count,
      rows_written_each: objects.reduce((sum, [, { "rows written": rows = 0 }]) => sum + rows, 0) / count,
      messages_each: objects.reduce((sum, [, { messages: times = 0 }]) => sum + times, 0) / count,
      commonest: common.sort((a, b) => b.each - a.each).slice(0, STATEMENTS_SHOWN),
    };
  } finally {
    await runtime.dispose();
  }
}

/** Microseconds of the runtime's JavaScript thread for each redemption, by subject and by function. */
export async function profileRedemptions({ count = 2_500, build = "dev" } = {}) {
  const port = await freeInspectorPort();
  // The development build is the same program with the functions' names kept.
  const runtime = await startServer(edgeProgram(build), { flags: [`--inspector-addr=127.0.0.1:${port}`] });
  try {
    const profile = await redeemSome(runtime, { count, memberCount: MEMBERS }, (work) => profiled(port, work));
    const us = ({ name, ms }) => ({ name, us: (ms * 1000) / count });
    return {
      by_subject: bySubject(profile, SUBJECTS).map(us),
      by_function: byFunction(profile).own.slice(0, FUNCTIONS_SHOWN).map(us),
    };
  } finally {
    await runtime.dispose();
  }
}
