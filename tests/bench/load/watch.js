// Around the edge's own build, for measuring: it counts what the objects ask of their storage and of each other, keeps the last
// message of each kind, and lets a load speak to one object directly. What is timed end to end runs without it.
import edge, * as classes from "./index.js";

/** By object: how often each kind of call was made. */
let counts = {};
/** Until it is told that enough was seen. */
let watching = true;
/** By object and operation: the last message. */
const messages = {};
/** Whose a storage is. */
const owners = new WeakMap();
const wrapped = new WeakSet();
const SIZE = "http://object/size";

function count(owner, what) {
  if (!watching) return;
  const own = (counts[owner] ??= {});
  own[what] = (own[what] ?? 0) + 1;
}

/** Has `before` and `after` see each call of a method, on the prototype that has it, so that the callers run as they are. */
function watch(object, method, before, after = () => {}) {
  let holder = object;
  while (!Object.hasOwn(holder, method)) holder = Object.getPrototypeOf(holder);
  const inner = holder[method];
  if (wrapped.has(inner)) return;
  const outer = function (...args) {
    before(this, args);
    const answer = inner.apply(this, args);
    after(this, answer);
    return answer;
  };
  wrapped.add(outer);
  Object.defineProperty(holder, method, { value: outer, writable: true, configurable: true });
}

/** Cursors, which know how many rows they wrote only once they were read. */
let cursors = [];

/** Adds what cursors wrote to what was counted: what is billed. */
function countRows() {
  for (const [owner, cursor] of cursors) {
    const own = (counts[owner] ??= {});
    own["rows written"] = (own["rows written"] ?? 0) + cursor.rowsWritten;
    own["rows read"] = (own["rows read"] ?? 0) + cursor.rowsRead;
  }
  cursors = [];
}

const shortened = (sql) => sql.trim().replace(/\s+/g, " ").slice(0, 90);

function watchStorage(name, storage) {
  const { sql } = storage;
  owners.set(storage, name);
  owners.set(sql, name);
  const owner = (of) => owners.get(of) ?? "unknown";
  watch(sql, "exec", (own, [text]) => {
    count(owner(own), "statements");
    count(`${owner(own)}: statements`, shortened(text));
  }, (own, cursor) => {
    if (watching) cursors.push([owner(own), cursor]);
  });
  watch(storage, "transactionSync", (own) => count(owner(own), "transactions"));
  watch(storage, "setAlarm", (own) => count(owner(own), "alarms"));
}

/** A class whose objects are watched. Each object's own storage is where the platform's methods are found. */
const watched = (name, Class) =>
  new Proxy(Class, {
    construct(target, [state, env], newTarget) {
      if (env.WATCHED === "1") watchStorage(name, state.storage);
      const object = Reflect.construct(target, [state, env], newTarget);
      return new Proxy(object, {
        get(own, property) {
          const value = Reflect.get(own, property);
          if (property === "alarm" && typeof value === "function") {
            return (...args) => {
              count(name, "alarms rung");
              return value.apply(own, args);
            };
          }
          if (property !== "fetch") return typeof value === "function" ? value.bind(own) : value;
          return (request) => {
            if (request.url === SIZE) return Response.json({ bytes: state.storage.sql.databaseSize });
            return watching && env.WATCHED === "1" ? noted(name, own, value, request) : value.call(own, request);
          };
        },
      });
    },
  });

async function noted(name, object, answer, request) {
  const text = await request.clone().text();
  if (text !== "") note(name, text);
  return answer.call(object, request);
}

/** Counts a message to an object by its operation, and keeps it. */
function note(name, text) {
  const { op } = JSON.parse(text);
  const inner = op.op ?? op;
  const operation = typeof inner === "string" ? inner : Object.keys(inner)[0];
  count(name, "messages");
  count(`${name}: messages`, operation);
  messages[`${name} ${operation}`] = text;
}

/** `/bench/…`: what was counted, the messages seen, and one object to speak to directly. */
async function bench(request, env, url) {
  const [, , what] = url.pathname.split("/");
  if (what === "counts") {
    countRows();
    const now = counts;
    counts = {};
    return Response.json(now);
  }
  if (what === "messages") return Response.json(messages);
  if (what === "unwatch") {
    watching = false;
    return Response.json({});
  }
  const object = env[url.searchParams.get("binding")].getByName(url.searchParams.get("name"));
  if (what === "size") return object.fetch(SIZE);
  return object.fetch("http://object/", request);
}

export default {
  fetch(request, env, context) {
    const url = new URL(request.url);
    if (url.pathname.startsWith("/bench/")) return bench(request, env, url);
    return Reflect.construct(edge, [context, env]).fetch(request);
  },
};

export const Merchant = watched("Merchant", classes.Merchant);
export const Campaign = watched("Campaign", classes.Campaign);
export const Member = watched("Member", classes.Member);
export const CodeShard = watched("CodeShard", classes.CodeShard);
export const Pool = watched("Pool", classes.Pool);
export const Directory = watched("Directory", classes.Directory);
export const Throttle = watched("Throttle", classes.Throttle);
export const Recorder = watched("Recorder", classes.Recorder);
