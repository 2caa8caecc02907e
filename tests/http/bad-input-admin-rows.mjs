// The administrator's half of the table of malformed requests; see bad-input-rows.mjs for the shape of a row.
const row = (name, request, status, code, extras = {}) => ({ name, request, status, code, extras });
const post = (path, fields) => (ctx) => ({ as: "admin", method: "POST", path: typeof path === "function" ? path(ctx) : path, body: typeof fields === "function" ? fields(ctx) : fields });
const inShort = (change) => JSON.stringify(change).replace(/(.)\1{40,}/, "$1\u2026");
/** One row a change: the good fields with this change must be refused, and the field must be named. */
const refused = (what, path, good, changes) =>
  changes.map(([field, change]) => row(`${what} with ${inShort(change)}`, post(path, (ctx) => ({ ...good(ctx), ...change })), 400, "invalid_request", { path: field }));
const without = (what, path, good, fields) =>
  fields.map((field) => row(`${what} without ${field}`, post(path, (ctx) => ({ ...good(ctx), [field]: undefined })), 400, "invalid_request", { path: field }));

const MOST = 9_007_199_254_740_991;

// ---- reward definitions ----------------------------------------------------------------------------------------------

const definition = () => ({ name: "Good", type: "credit", value: { currency: "EUR", amount_minor: 100 } });
const credit = (value) => ["value", { value }];
const points = (value) => ["value", { type: "points", value }];
const feature = (value) => ["value", { type: "feature", value }];
const definitions = [
  ...without("a definition", "/v1/reward-definitions", definition, ["name", "type", "value"]),
  ...refused("a definition", "/v1/reward-definitions", definition, [
    ["name", { name: "" }],
    ["name", { name: 7 }],
    ["name", { name: null }],
    ["name", { name: "x".repeat(5000) }],
    ["type", { type: "gold" }],
    ["type", { type: "Credit" }],
    ["type", { type: 1 }],
    credit({ amount_minor: 100 }),
    credit({ currency: "EUR" }),
    credit({ currency: "eur", amount_minor: 100 }),
    credit({ currency: "EURO", amount_minor: 100 }),
    credit({ currency: 978, amount_minor: 100 }),
    credit({ currency: "EUR", amount_minor: 0 }),
    credit({ currency: "EUR", amount_minor: -1 }),
    credit({ currency: "EUR", amount_minor: 1.5 }),
    credit({ currency: "EUR", amount_minor: "100" }),
    credit({ currency: "EUR", amount_minor: MOST + 1 }),
    credit({ currency: "EUR", amount_minor: 1e300 }),
    credit({ currency: "EUR", amount_minor: 100, amount: 100 }),
    credit({ amount: 100 }),
    credit(100),
    credit([]),
    credit(null),
    points({ amount: 0 }),
    points({ amount: -5 }),
    points({ amount: 2.5 }),
    points({ amount: "5" }),
    points({ amount: MOST + 1 }),
    points({ currency: "EUR", amount_minor: 100 }),
    feature({ key: "" }),
    feature({ key: 7 }),
    feature({}),
    feature({ key: "k", level: 2 }),
    ["mechanic", { mechanic: { kind: "drone" } }],
    ["mechanic", { mechanic: "wallet" }],
    ["mechanic", { mechanic: {} }],
    ["mechanic", { mechanic: { kind: "wallet", endpoint_id: "e" } }],
    ["player_should_claim", { player_should_claim: "no" }],
    ["automatic_activation", { automatic_activation: 1 }],
    ["reward_id", { reward_id: "" }],
    ["reward_id", { reward_id: 7 }],
    ["reward_id", { reward_id: "a/b" }],
    ["reward_id", { reward_id: "x".repeat(5000) }],
    ["surprise", { surprise: true }],
    ["version", { version: 3 }],
  ]),
];

// ---- campaigns -------------------------------------------------------------------------------------------------------

const draft = (ctx) => ({ name: "Good", profile: "S20", kind: "unique", reward_id: ctx.reward_id });
const campaigns = [
  ...without("a campaign", "/v1/campaigns", draft, ["name", "kind", "reward_id"]),
  ...refused("a campaign", "/v1/campaigns", draft, [
    ["name", { name: "" }],
    ["name", { name: ["a"] }],
    ["name", { name: "x".repeat(5000) }],
    ["profile", { profile: "S21" }],
    ["profile", { profile: "s20" }],
    ["profile", { profile: 20 }],
    ["kind", { kind: "both" }],
    ["kind", { kind: true }],
    ["reward_id", { reward_id: "nothing" }],
    ["reward_id", { reward_id: 7 }],
    ["campaign", { campaign: 0 }],
    ["campaign", { campaign: -1 }],
    ["campaign", { campaign: 65_536 }],
    ["campaign", { campaign: 1.5 }],
    ["campaign", { campaign: "7" }],
    ["quantity", { quantity: 0 }],
    ["quantity", { quantity: -1 }],
    ["quantity", { quantity: 1.5 }],
    ["quantity", { quantity: "2" }],
    ["quantity", { quantity: MOST }],
    ["time_zone", { time_zone: "Mars/Base" }],
    ["time_zone", { time_zone: "" }],
    ["time_zone", { time_zone: 1 }],
    ["starts_on", { starts_on: "2026-02-30" }],
    ["starts_on", { starts_on: "2026-13-01" }],
    ["starts_on", { starts_on: "01.02.2026" }],
    ["starts_on", { starts_on: "2026-1-1" }],
    ["starts_on", { starts_on: 20260101 }],
    ["ends_on", { ends_on: "2026-02-29" }],
    ["ends_on", { ends_on: "tomorrow" }],
    ["starts_at", { starts_at: "2026-01-01" }],
    ["starts_at", { starts_at: "2026-01-01T00:00:00" }],
    ["starts_at", { starts_at: "2026-01-01 00:00" }],
    ["starts_at", { starts_at: 1_700_000_000 }],
    ["ends_at", { ends_at: "2026-01-01T25:00:00Z" }],
    ["ends_at", { ends_at: "2026-02-30T00:00:00Z" }],
    ["ends_at", { ends_at: true }],
    ["starts", { starts_on: "2026-01-01", starts_at: "2026-01-01T00:00:00Z" }],
    ["ends", { ends_on: "2026-01-01", ends_at: "2026-01-01T00:00:00Z" }],
    ["ends", { starts_on: "2026-01-02", ends_on: "2026-01-01" }],
    ["ends", { starts_at: "2026-01-01T00:00:00Z", ends_at: "2026-01-01T00:00:00Z" }],
    ["ends", { starts_at: "2026-01-02T00:00:00Z", ends_on: "2026-01-01" }],
    ["limits", { limits: 5 }],
    ["limits", { limits: [] }],
    ["limits", { limits: { total: 0 } }],
    ["limits", { limits: { total: -1 } }],
    ["limits", { limits: { total: 1.5 } }],
    ["limits", { limits: { total: "10" } }],
    ["limits", { limits: { total: MOST + 1 } }],
    ["limits", { limits: { per_member: 0 } }],
    ["limits", { limits: { per_member: "1" } }],
    ["limits", { limits: { uses_per_code: 0 } }],
    ["limits", { limits: { uses_per_code: true } }],
    ["limits", { limits: { per_month: 1 } }],
    ["eligibility", { eligibility: [] }],
    ["eligibility", { eligibility: { tiers: "gold" } }],
    ["eligibility", { eligibility: { tiers: [1] } }],
    ["eligibility", { eligibility: { personas: {} } }],
    ["eligibility", { eligibility: { roles: [""] } }],
    ["eligibility", { eligibility: { tags: ["a"] } }],
    ["currencies", { currencies: "EUR" }],
    ["currencies", { currencies: ["EURO"] }],
    ["currencies", { currencies: ["eur"] }],
    ["currencies", { currencies: [978] }],
    ["methods", { methods: "api" }],
    ["methods", { methods: ["sms"] }],
    ["methods", { methods: [1] }],
    ["min_epoch", { min_epoch: 8 }],
    ["min_epoch", { min_epoch: -1 }],
    ["min_epoch", { min_epoch: "1" }],
    ["status", { status: "active" }],
    ["version", { version: 1 }],
    ["issued", { issued: 5 }],
    ["surprise", { surprise: 1 }],
  ]),
  row("an S16 campaign of number 4096", (ctx) => ({ as: "admin", method: "POST", path: "/v1/campaigns", body: { ...draft(ctx), reward_id: ctx.feature_id, profile: "S16", campaign: 4096 } }), 400, "invalid_request", { path: "campaign" }),
  row("an S16 campaign of credit", (ctx) => ({ as: "admin", method: "POST", path: "/v1/campaigns", body: { ...draft(ctx), profile: "S16" } }), 400, "invalid_request", { path: "profile" }),
  row("a campaign under a number that is taken", (ctx) => ({ as: "admin", method: "POST", path: "/v1/campaigns", body: { ...draft(ctx), campaign: ctx.campaign } }), 409, "already_exists"),
  row("a campaign by a member", (ctx) => ({ as: "member", method: "POST", path: "/v1/campaigns", body: draft(ctx) }), 403, "forbidden"),
];

// ---- changes, moves, batches -----------------------------------------------------------------------------------------

const patch = (change, headers = { "if-match": '"1"' }) => (ctx) => ({ as: "admin", method: "PATCH", path: `/v1/campaigns/${ctx.untouched}`, body: change, headers });
const changes = [
  row("a change without a version", patch({ name: "X" }, {}), 428, "precondition_required"),
  row("a change at another version", patch({ name: "X" }, { "if-match": '"7"' }), 412, "version_mismatch"),
  row("a change at a version without quotes", patch({ name: "X" }, { "if-match": "7" }), [400, 412], ["invalid_request", "version_mismatch"]),
  ...[{ name: null }, { name: "" }, { name: 7 }, { quantity: 0 }, { time_zone: "Mars/Base" }, { ends_on: "never" }, { starts_on: "2030-01-02", ends_on: "2030-01-01" }, { limits: { total: -1 } }, { limits: { surprise: 1 } }, { campaign: 9 }, { status: "ended" }, { surprise: 1 }, { reward_id: "nothing" }, { profile: "S21" }].map((change) =>
    row(`a change to ${inShort(change)}`, patch(change), 400, "invalid_request", { path: Object.keys(change).at(-1) }),
  ),
  row("a change that is a list", patch([{ name: "X" }]), 400, "invalid_request"),
  row("a move with a field", (ctx) => ({ as: "admin", method: "POST", path: `/v1/campaigns/${ctx.untouched}/activate`, body: { when: "now" } }), 400, "invalid_request", { path: "when" }),
  row("a pause of a draft", (ctx) => ({ as: "admin", method: "POST", path: `/v1/campaigns/${ctx.untouched}/pause` }), 409, "illegal_move"),
];

const batchPath = (ctx) => `/v1/campaigns/${ctx.campaign}/batches`;
const batches = [
  ...without("a batch", batchPath, () => ({ count: 1 }), ["count"]),
  ...refused("a batch", batchPath, () => ({ count: 1 }), [
    ["count", { count: 0 }],
    ["count", { count: -1 }],
    ["count", { count: 1.5 }],
    ["count", { count: "10" }],
    ["count", { count: MOST + 1 }],
    ["format", { format: "xml" }],
    ["format", { format: "CSV" }],
    ["format", { format: 1 }],
    ["offline", { offline: "yes" }],
    ["label", { label: 7 }],
    ["label", { label: "x".repeat(5000) }],
    ["reference", { reference: 7 }],
    ["expires_on", { expires_on: "2026-02-30" }],
    ["expires_at", { expires_at: "2026-01-01" }],
    ["expires", { expires_on: "2030-01-01", expires_at: "2030-01-01T00:00:00Z" }],
    ["epoch", { epoch: 1 }],
    ["surprise", { surprise: 1 }],
  ]),
  row("a batch past the serial space", post(batchPath, { count: 2 ** 24 + 1, offline: true }), [400, 409], undefined),
  row("a batch by a member", (ctx) => ({ as: "member", method: "POST", path: batchPath(ctx), body: { count: 1 } }), 403, "forbidden"),
];

// ---- types that a wallet or a fulfiller applies ------------------------------------------------------------------------

const of = (type, value, more = {}) => ["value", { type, value, ...more }];
const booster = (value) => of("level_booster", value, { duration_s: 60 });
const types = refused("a definition", "/v1/reward-definitions", definition, [
  ...["bonus", "mini_game", "mission_booster"].map((type) => ["mechanic", { type, value: type === "mission_booster" ? { multiplier_permille: 2000 } : {}, duration_s: type === "mission_booster" ? 60 : undefined }]),
  ["mechanic", { mechanic: { kind: "webhook" } }],
  ["mechanic", { mechanic: { kind: "webhook", endpoint_id: "nothing" } }],
  ["mechanic", { mechanic: { kind: "webhook", endpoint_id: 7 } }],
  of("xp", { amount: 0 }),
  of("xp", { amount: "5" }),
  of("tokens", { amount: -1 }),
  of("tokens", { amount: MOST + 1 }),
  of("discount", { percent: 0 }),
  of("discount", { percent: 101 }),
  of("discount", { percent: 2.5 }),
  of("discount", { percent: 10, currency: "EUR", amount_minor: 5 }),
  of("discount", {}),
  booster({}),
  booster({ multiplier_permille: 1000 }),
  booster({ multiplier_permille: 100_001 }),
  booster({ multiplier_permille: 1500.5 }),
  booster({ multiplier_permille: "2000" }),
  booster({ multiplier_permille: -2000 }),
  of("manual", { reference: 7 }),
  of("external", { surprise: 1 }),
  ["duration_s", { type: "token_booster", value: { multiplier_permille: 2000 } }],
  ...[0, -1, 1.5, "60"].map((duration_s) => ["duration_s", { type: "token_booster", value: { multiplier_permille: 2000 }, duration_s }]),
  ...[0, -1, 1.5, "60", MOST].map((valid_for_s) => ["valid_for_s", { valid_for_s }]),
  ...[0, -1, 1.5, "3", MOST].map((attempts_max) => ["attempts_max", { attempts_max }]),
  ...[0, -1, 1.5, "60", MOST].map((fulfilment_timeout_s) => ["fulfilment_timeout_s", { fulfilment_timeout_s }]),
]);

// ---- operators ---------------------------------------------------------------------------------------------------------

const redemptionAt = (verb) => (ctx) => `/v1/redemptions/${ctx.redemption_id}/${verb}`;
const memberAt = (rest) => (ctx) => `/v1/members/${ctx.member_id}${rest}`;
const chestAt = (verb) => (ctx) => `/v1/members/${ctx.member_id}/rewards/${ctx.chest}${verb}`;
const ask = (method, path, body, as = "admin", rest = {}) => (ctx) => ({ as, method, path: typeof path === "function" ? path(ctx) : path, body, ...rest });
const given = (change) => (ctx) => ({ as: "admin", method: "POST", path: memberAt("/rewards")(ctx), body: { reward_id: ctx.reward_id, reason: "r", ...change }, key: "k-bad-gift" });
const good = { as: "cancelled", reason: "r" };
const operators = [
  ...[[{}, "as"], [{ ...good, reason: undefined }, "reason"], [{ ...good, reason: "" }, "reason"], [{ ...good, as: "refused" }, "as"], [{ ...good, unknown_outcome: 1 }, "unknown_outcome"], [{ ...good, surprise: 1 }, "surprise"]].map(([body, path]) =>
    row(`resolve with ${inShort(body)}`, ask("POST", redemptionAt("resolve"), body), 400, "invalid_request", { path }),
  ),
  row("resolve what is granted", ask("POST", redemptionAt("resolve"), good), 409, "illegal_move", { state: "granted" }),
  row("retry what is granted", ask("POST", redemptionAt("retry")), 409, "illegal_move", { state: "granted" }),
  row("retry with a list", ask("POST", redemptionAt("retry"), []), 400, "invalid_request"),
  row("reset without a reason", ask("POST", redemptionAt("reset"), {}), 400, "invalid_request", { path: "reason" }),
  row("reset what is granted", ask("POST", redemptionAt("reset"), { reason: "r" }), 409, "illegal_move", { state: "granted" }),
  ...["retry", "resolve", "reset"].flatMap((verb) => [
    row(`${verb} by a member`, ask("POST", redemptionAt(verb), good, "member"), 403, "forbidden"),
    row(`${verb} a redemption that never was`, ask("POST", `/v1/redemptions/abcdefghijklmnopqrstuvwxyz/${verb}`, verb === "retry" ? {} : verb === "reset" ? { reason: "r" } : good), 404, "not_found"),
    row(`${verb} a reward`, ask("POST", (ctx) => `/v1/redemptions/${ctx.chest}/${verb}`, verb === "retry" ? {} : verb === "reset" ? { reason: "r" } : good), 404, "not_found"),
  ]),
  ...[["reward_id", { reward_id: undefined }], ["reward_id", { reward_id: "nothing" }], ["reward_id", { reward_id: 7 }], ["reason", { reason: undefined }], ["reason", { reason: " " }], ["source", { source: "luck" }], ["reference", { reference: 7 }], ["surprise", { surprise: 1 }]].map(([path, change]) =>
    row(`a gift with ${inShort(change)} for ${path}`, given(change), 400, "invalid_request", { path }),
  ),
  row("a gift without a key", (ctx) => ({ ...given({})(ctx), key: undefined }), 400, "idempotency_key_required"),
  row("a gift by staff", (ctx) => ({ ...given({})(ctx), as: "staff" }), 403, "forbidden"),
  ...[["tester", { tester: 1 }], ["name", { name: "" }], ["tier", { tier: 7 }], ["tags", { tags: "a" }], ["tags", { tags: [""] }], ["roles", { roles: [7] }], ["surprise", { surprise: 1 }], ["points", { points: 1000 }]].map(([path, body]) =>
    row(`a member with ${inShort(body)}`, ask("PUT", memberAt(""), body), 400, "invalid_request", { path }),
  ),
  row("a member changed by staff", ask("PUT", memberAt(""), { tester: true }, "staff"), 403, "forbidden"),
  row("a deletion without a reason", ask("DELETE", chestAt("")), 400, "invalid_request", { path: "reason" }),
  row("a deletion by a service", ask("DELETE", chestAt("?reason=r"), undefined, "service"), 403, "forbidden"),
  row("an activation before the claim", ask("POST", chestAt("/activate"), { reason: "r" }), 409, "illegal_move", { state: "unclaimed" }),
  row("a retry of what never failed", ask("POST", chestAt("/retry"), { reason: "r" }), 409, "illegal_move", { state: "unclaimed" }),
  row("a claim of another member's chest", ask("POST", (ctx) => `/v1/members/nobody/rewards/${ctx.chest}/claim`, {}), 404, "not_found"),
  row("a move that there is not", ask("POST", chestAt("/open"), {}), 404, "not_found"),
  row("a note that is a number", ask("PATCH", chestAt("/fulfilment"), { note: 7 }), 400, "invalid_request", { path: "note" }),
  row("a note with a field too many", ask("PATCH", chestAt("/fulfilment"), { state: "granted" }), 400, "invalid_request", { path: "state" }),
  ...[{}, { member_id: "" }, { campaign: 0 }, { campaign: "1" }, { surprise: 1 }].map((body) => row(`verify ${inShort(body)}`, ask("POST", "/v1/verify", body), 400, "invalid_request")),
  ...["all=1&status=happy", "all=1&since=yesterday", "all=1&limit=0", "all=1&cursor=nonsense"].map((query) => row(`GET /v1/redemptions?${query}`, ask("GET", `/v1/redemptions?${query}`), 400, "invalid_request")),
  ...["limit=0", "limit=201", "cursor=nonsense"].flatMap((query) => ["/v1/audit", "/v1/webhooks"].map((path) => row(`GET ${path}?${query}`, ask("GET", `${path}?${query}`), 400, "invalid_request"))),
  ...[["url", { url: undefined }], ["url", { url: "http://hooks.example.com/" }], ["url", { url: "https://127.0.0.1/" }], ["url", { url: "https://a:b@hooks.example.com/" }], ["events", { url: "https://hooks.example.com/", events: ["all"] }], ["surprise", { url: "https://hooks.example.com/", surprise: 1 }]].map(([path, body]) =>
    row(`an endpoint with ${inShort(body)}`, ask("POST", "/v1/webhooks", { events: [], ...body }), 400, "invalid_request", { path }),
  ),
  ...["GET", "POST"].map((method) => row(`${method} an endpoint that never was`, ask(method, `/v1/webhooks/nothing${method === "GET" ? "" : "/test"}`), 404, "not_found")),
];

export const adminTable = [...definitions, ...campaigns, ...changes, ...batches, ...types, ...operators];
