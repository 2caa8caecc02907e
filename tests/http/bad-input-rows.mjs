// The table of malformed requests: what is sent, and the named error that must come back. A row's request is a function of
// the running shop (`code`: a good unused code, `campaign`, `reward_id`, `definition`: fields of a good reward definition,
// `draft`: fields of a good campaign, `chest`: the member's unclaimed reward), because only then are its ids known.
import { forge, mint } from "./code.mjs";
import { signToken } from "./env.mjs";

const row = (name, request, status, code, extras = {}) => ({ name, request, status, code, extras });
const invalid = (name, request, path) => row(name, request, 400, "invalid_request", path ? { path } : {});
const notFound = (name, path, as = "admin") => row(name, () => ({ as, path: typeof path === "function" ? path() : path }), 404, "not_found");

// ---- texts that are no codes -----------------------------------------------------------------------------------------

const malformedTexts = [
  ["empty text", () => "", {}],
  ["blanks alone", () => " \t\n", {}],
  ["hyphens alone", () => "----", {}],
  ["one symbol", () => "0", {}],
  ["two symbols", () => "00", {}],
  ["eighteen symbols", ({ code }) => code.replaceAll("-", "").slice(0, 18), {}],
  ["twenty-two symbols", ({ code }) => `${code}00`, {}],
  ["twenty-seven symbols", () => "0".repeat(27), {}],
  ["sixty-four symbols", () => "0".repeat(64), {}],
  ["sixty-five scalar values", () => "0".repeat(65), {}],
  ["sixty thousand symbols", () => "0".repeat(60_000), {}],
  ["a foreign symbol in the middle", ({ code }) => `${code.slice(0, 10)}*${code.slice(11)}`, { position: 8 }],
  ["a foreign symbol first", ({ code }) => `#${code.slice(1)}`, { position: 0 }],
  ["a foreign symbol last", ({ code }) => `${code.slice(0, -1)}!`, { position: 19 }],
  ["the Kelvin sign", ({ code }) => `${code.slice(0, -1)}\u212a`, { position: 19 }],
  ["a Cyrillic letter", ({ code }) => `\u0410${code.slice(1)}`, { position: 0 }],
  ["an Arabic digit", ({ code }) => `\u0660${code.slice(1)}`, { position: 0 }],
  ["an emoji", ({ code }) => `${code.slice(0, -1)}\u{1f600}`, { position: 19 }],
  ["a zero byte", ({ code }) => `${code.slice(0, -1)}\0`, { position: 19 }],
  ["a slash between groups", ({ code }) => code.replaceAll("-", "/"), { position: 4 }],
  ["an unreadable symbol", ({ code }) => `${code.slice(0, -1)}?`, { position: 19 }],
  ["the letter U", ({ code }) => `${code.slice(0, 5)}U${code.slice(6)}`, { position: 4 }],
  ["one wrong symbol", ({ code }) => code.replace(/.$/, (last) => (last === "0" ? "1" : "0")), {}],
  ["two neighbours swapped", ({ wrong }) => wrong.swap, {}],
  ["one symbol too few", ({ code }) => code.slice(0, -1), {}],
  ["one symbol too many", ({ code }) => `${code}0`, {}],
  ["all zero", () => "0000-0000-0000-0000-0000", {}],
  ["kind 3", ({ wrong }) => wrong.kind3, {}],
  ["an S16 header over twenty symbols", ({ wrong }) => wrong.kind1, {}],
  ["campaign 0", ({ wrong }) => wrong.campaign0, {}],
  ["a reserved bit", ({ wrong }) => wrong.reserved, {}],
];

const texts = malformedTexts.flatMap(([name, text, extras]) => [
  row(`redeem ${name}`, (ctx) => ({ as: "member", method: "POST", path: "/v1/redemptions", body: { code: text(ctx) }, key: "k-bad" }), 422, "malformed_code", { reason: true, ...extras }),
  row(`preview ${name}`, (ctx) => ({ as: "member", method: "POST", path: "/v1/codes/preview", body: { code: text(ctx) } }), 422, "malformed_code", { reason: true, ...extras }),
]);

const pathTexts = malformedTexts
  .filter(([name]) => !["empty text", "sixty thousand symbols"].includes(name))
  .map(([name, text, extras]) =>
    row(`in the path ${name}`, (ctx) => ({ as: "member", method: "POST", path: `/v1/codes/${encodeURIComponent(text(ctx))}/redemptions`, key: "k-bad" }), 422, "malformed_code", { reason: true, ...extras }),
  );

// ---- requests to redeem ----------------------------------------------------------------------------------------------

const redeeming = (as, change) => (ctx) => ({ as, method: "POST", path: "/v1/redemptions", body: { code: ctx.code, ...change(ctx) }, key: "k-bad" });
const bodyRows = [
  ["a numeric code", "code", () => ({ code: 7 })],
  ["a code that is null", "code", () => ({ code: null })],
  ["a list of codes", "code", ({ code }) => ({ code: [code] })],
  ["an object as code", "code", ({ code }) => ({ code: { text: code } })],
  ["a code that is true", "code", () => ({ code: true })],
  ["no code", "code", () => ({ code: undefined })],
  ["a numeric currency", "currency", () => ({ currency: 978 })],
  ["a currency of four letters", "currency", () => ({ currency: "EURO" })],
  ["a currency of two letters", "currency", () => ({ currency: "EU" })],
  ["a currency in lower case", "currency", () => ({ currency: "eur" })],
  ["an empty currency", "currency", () => ({ currency: "" })],
  ["a currency that is null", "currency", () => ({ currency: null })],
  ["a numeric order", "order", () => ({ order: 7 })],
  ["an empty order", "order", () => ({ order: "" })],
  ["an order of 10,000 letters", "order", () => ({ order: "x".repeat(10_000) })],
  ["an unknown field", "coupon", () => ({ coupon: "x" })],
  ["a field in another case", "Code", ({ code }) => ({ Code: code })],
  ["a quantity of a code", "quantity", () => ({ quantity: 2 })],
  ["a reward and a code at once", "reward_id", ({ reward_id }) => ({ reward_id })],
  ["a claimed method", "method", () => ({ method: "api" })],
].map(([name, path, change]) => invalid(`redeem with ${name}`, redeeming("member", change), path));

const json = { "content-type": "application/json" };
const rawRows = [
  ["broken JSON", '{"code":'],
  ["JSON with a trailing comma", '{"code":"0",}'],
  ["JSON followed by more", '{"code":"0"} {}'],
  ["single quotes", "{'code':'0'}"],
  ["a list", '[{"code":"0"}]'],
  ["a string", '"0"'],
  ["a number", "7"],
  ["null", "null"],
  ["a lone surrogate", '{"code":"\\ud800"}'],
  ["invalid UTF-8", Buffer.from([0x7b, 0x22, 0x63, 0x6f, 0x64, 0x65, 0x22, 0x3a, 0x22, 0xff, 0xfe, 0x22, 0x7d])],
  ["UTF-16", Buffer.from('{"code":"0"}', "utf16le")],
  ["a control character in a string", '{"code":"0\n0"}'],
  ["ten thousand brackets", "[".repeat(10_000)],
  ["NaN", '{"code":NaN}'],
].map(([name, body]) => invalid(`redeem with a body of ${name}`, () => ({ as: "member", method: "POST", path: "/v1/redemptions", body, headers: json, key: "k-bad" })));

const keyRows = [
  ["no key", undefined, "idempotency_key_required"],
  ["an empty key", "", undefined],
  ["a key of 256", "k".repeat(256), undefined],
  ["a key with a blank inside", "a b", undefined],
  ["a key beyond ASCII", "cl\u00e9", undefined],
  ["a key with a tab", "a\tb", undefined],
].flatMap(([name, key, code]) => [
  row(`redeem with ${name}`, (ctx) => ({ as: "member", method: "POST", path: "/v1/redemptions", body: { code: ctx.code }, key }), 400, code ?? ["idempotency_key_required", "invalid_request"]),
  row(`redeem in the path with ${name}`, (ctx) => ({ as: "member", method: "POST", path: `/v1/codes/${ctx.code}/redemptions`, body: {}, key }), 400, code ?? ["idempotency_key_required", "invalid_request"]),
]);

const memberRows = [
  invalid("redeem by a service for nobody", redeeming("service", () => ({})), "member_id"),
  invalid("redeem by a service for an empty member", redeeming("service", () => ({ member_id: "" })), "member_id"),
  invalid("redeem by a service for a numeric member", redeeming("service", () => ({ member_id: 7 })), "member_id"),
  row("redeem by a member in another's name", redeeming("member", () => ({ member_id: "someone-else" })), [400, 403], ["invalid_request", "forbidden"]),
  row("read by a member another's wallet", () => ({ as: "member", path: "/v1/wallet?member_id=someone-else" }), [400, 403, 404], ["invalid_request", "forbidden", "not_found"]),
  row("redeem by an administrator", redeeming("admin", () => ({})), 403, "forbidden"),
  row("redeem by staff", redeeming("staff", () => ({})), 403, "forbidden"),
  row("redeem with a forged code", (ctx) => ({ as: "guesser", method: "POST", path: "/v1/redemptions", body: { code: forge(ctx.keys, 0) }, key: "k-bad" }), 404, "code_not_recognised"),
  row("redeem a code never issued", (ctx) => ({ as: "guesser", method: "POST", path: "/v1/redemptions", body: { code: mint(ctx.keys, 2 ** 24 - 1).code }, key: "k-bad" }), 404, "code_not_recognised"),
  row("redeem a word that is no alias", () => ({ as: "guesser", method: "POST", path: "/v1/redemptions", body: { code: "SUMMER" }, key: "k-bad" }), 404, "code_not_recognised"),
];

// ---- reading ---------------------------------------------------------------------------------------------------------

const queries = [
  ["/v1/redemptions", ["limit=0", "limit=-1", "limit=201", "limit=many", "limit=1.5", "limit=", "limit=99999999999999999999", "cursor=nonsense", "cursor=", "status=happy", "status=", "campaign=x", "campaign=0", "campaign=65536", "from=yesterday", "from=2026-02-30T00:00:00Z", "to=2026-01-01", "to=1700000000"]],
  ["/v1/ledger", ["limit=0", "limit=201", "limit=x", "cursor=%00"]],
  ["/v1/rewards", ["limit=0", "limit=201", "limit=x", "cursor=nonsense", "cursor="]],
  ["/v1/events", ["since=-1", "since=x", "since=1.5", "since=99999999999999999999", "since=0&wait=26", "since=0&wait=-1", "since=0&wait=x"]],
].flatMap(([path, all]) => all.map((query) => invalid(`GET ${path}?${query}`, () => ({ as: "member", path: `${path}?${query}` }), query.split(/[=&]/).at(-2))));

const adminQueries = ["/v1/campaigns", "/v1/reward-definitions"].flatMap((path) =>
  ["limit=0", "limit=201", "limit=x", "cursor=nonsense"].map((query) => invalid(`GET ${path}?${query}`, () => ({ as: "admin", path: `${path}?${query}` }))),
);

const ids = [
  notFound("a redemption that never was", "/v1/redemptions/abcdefghijklmnopqrstuvwxyz", "member"),
  notFound("a redemption id of one letter", "/v1/redemptions/a", "member"),
  notFound("a redemption id of 5,000 letters", `/v1/redemptions/${"a".repeat(5000)}`, "member"),
  notFound("a redemption id that is no text", "/v1/redemptions/%FF%FE", "member"),
  notFound("a redemption id with a zero byte", "/v1/redemptions/%00", "member"),
  notFound("a redemption id with a slash", "/v1/redemptions/a%2Fb", "member"),
  row("a redemption id with one bit changed", (ctx) => ({ as: "member", path: `/v1/redemptions/${ctx.changedId}` }), 404, "not_found"),
  row("a redemption id of another member", (ctx) => ({ as: "guesser", path: `/v1/redemptions/${ctx.redemption_id}` }), 404, "not_found"),
  ...["0", "65536", "-1", "1.5", "x", "1e3", "0x10", "99999999999999999999", "%31%00", "+1", "01"].map((id) => notFound(`campaign ${id}`, `/v1/campaigns/${id}`)),
  notFound("a campaign that never was", "/v1/campaigns/61234"),
  notFound("a reward that never was", "/v1/reward-definitions/nothing"),
  notFound("batches of a campaign that never was", "/v1/campaigns/61234/batches"),
  row("activate a campaign that never was", () => ({ as: "admin", method: "POST", path: "/v1/campaigns/61234/activate" }), 404, "not_found"),
  row("mint in a campaign that never was", () => ({ as: "admin", method: "POST", path: "/v1/campaigns/61234/batches", body: { count: 1 } }), 404, "not_found"),
];

// ---- rewards -----------------------------------------------------------------------------------------------------------

const chest = (verb, body, as = "member") => (ctx) => ({ as, method: "POST", path: `/v1/rewards/${ctx.chest}/${verb}`, body });
const rewards = [
  row("activate a chest that was not claimed", chest("activate"), 409, "illegal_move", { state: "unclaimed", legal_moves: ["pending_activation", "declined"] }),
  ...["claim", "activate", "decline"].flatMap((verb) => [
    invalid(`${verb} with a field`, chest(verb, { reason: "please" }), "reason"),
    invalid(`${verb} with a list`, chest(verb, [])),
    row(`${verb} another member's chest`, chest(verb, undefined, "guesser"), 404, "not_found"),
    row(`${verb} by staff`, chest(verb, undefined, "staff"), 403, "forbidden"),
    invalid(`${verb} by a service for nobody`, chest(verb, {}, "service"), "member_id"),
    row(`${verb} by a service for another`, chest(verb, { member_id: "someone-else" }, "service"), 404, "not_found"),
    row(`${verb} in another's name`, chest(verb, { member_id: "someone-else" }), [400, 403], ["invalid_request", "forbidden"]),
    row(`${verb} a redemption`, (ctx) => ({ as: "member", method: "POST", path: `/v1/rewards/${ctx.redemption_id}/${verb}` }), 404, "not_found"),
  ]),
  notFound("a reward that nobody has", "/v1/rewards/abcdefghijklmnopqrstuvwxyz", "member"),
  notFound("a reward id of 5,000 letters", `/v1/rewards/${"a".repeat(5000)}`, "member"),
  notFound("a reward id with a zero byte", "/v1/rewards/%00", "member"),
  row("a move of a reward that there is not", (ctx) => ({ as: "member", method: "POST", path: `/v1/rewards/${ctx.chest}/open` }), 404, "not_found"),
  row("the list of all by a member", () => ({ as: "member", path: "/v1/redemptions?all=1" }), 403, "forbidden"),
  row("a completion without a signature", (ctx) => ({ as: "member", method: "POST", path: `/v1/fulfilments/${ctx.chest}`, body: { outcome: "granted" } }), [401, 404], ["invalid_token", "not_found"]),
  row("a completion of nothing", () => ({ as: "member", method: "POST", path: "/v1/fulfilments/nothing", body: { outcome: "granted" } }), [401, 404], ["invalid_token", "not_found"]),
];

const tokens = [
  ["expired", { sub: "ann", exp: 1 }],
  ["of an unknown role", { sub: "ann", role: "owner" }],
  ["without a sub", { sub: undefined }],
].map(([name, claims]) => row(`redeem with a token ${name}`, (ctx) => ({ token: signToken({ merchant: ctx.merchant, ...claims }), method: "POST", path: "/v1/redemptions", body: { code: ctx.code }, key: "k-bad" }), 401, "invalid_token"));

export const memberTable = [...texts, ...pathTexts, ...bodyRows, ...rawRows, ...keyRows, ...memberRows, ...queries, ...adminQueries, ...ids, ...rewards, ...tokens];
