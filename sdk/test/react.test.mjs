// The React layer in a light DOM, over the real client, with the server and the sockets in hand.

import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";

import { Window } from "happy-dom";

const window = new Window({ url: "https://shop.test/" });
for (const name of ["window", "document", "HTMLElement", "HTMLInputElement", "HTMLIFrameElement", "Node", "Event", "navigator"]) {
  Object.defineProperty(globalThis, name, { configurable: true, value: name === "window" ? window : window[name] });
}
globalThis.IS_REACT_ACT_ENVIRONMENT = true;

// After the DOM is there, because React looks for it when it is loaded.
const { act, createElement: h, StrictMode, Component } = await import("react");
const { createRoot } = await import("react-dom/client");
const { createClient } = await import("../dist/node.js");
const sdk = await import("../dist/react.js");
const { event, FakeServer, fakeSockets, pageStorage, problem, redemption, reward, settle, tokenFor } = await import("./support.mjs");

const CODE = "0000-PMHX-FT5V-PPXF-4FNQ";
const PREVIEW = { would: "redeem", reward: { name: "5 € credit", type: "credit", value: {} }, campaign: { name: "Spring" }, rules: [] };
const WALLET = { points: 10, xp: 0, tokens: 0, credit: [], features: [], boosters: [] };

let root;
let container;
let world;

beforeEach(() => {
  container = document.body.appendChild(document.createElement("div"));
  root = createRoot(container);
  world = makeWorld();
});
afterEach(async () => {
  await act(async () => root.unmount());
  container.remove();
});

function makeWorld(storage = pageStorage()) {
  const server = new FakeServer();
  const sockets = fakeSockets();
  Object.assign(server.routes, {
    "GET /v1/events": () => ({ json: { events: [], next_since: 1 } }),
    "GET /v1/wallet": () => ({ json: WALLET }),
    "GET /v1/redemptions": () => ({ json: { items: [] } }),
    "GET /v1/rewards": () => ({ json: { items: [] } }),
    "POST /v1/codes/preview": () => ({ json: PREVIEW }),
    "POST /v1/redemptions": () => ({ status: 201, json: redemption("granted") }),
  });
  const client = createClient({ baseUrl: "https://edge.test", token: tokenFor("anna"), storage, fetch: server.fetch, WebSocket: sockets.FakeWebSocket });
  return { server, sockets, storage, client };
}

const turn = () => act(settle);

async function show(element, client = world.client) {
  await act(async () => root.render(h(StrictMode, null, h(sdk.CounterfoilProvider, { client }, element))));
  await turn();
}

/** Renders a hook and gives what it returned last. */
async function hook(use, client) {
  const seen = { renders: 0 };
  const Probe = () => {
    seen.renders += 1;
    seen.value = use();
    return null;
  };
  await show(h(Probe), client);
  return seen;
}

const part = (name) => container.querySelector(`[data-part="${name}"]`);
const input = () => container.querySelector("input");
const state = () => container.querySelector("form").dataset.state;
const click = (name) => act(async () => (part(name).click(), await settle()));

const setNative = Object.getOwnPropertyDescriptor(window.HTMLInputElement.prototype, "value").set;

/** What a browser does for one input: the new text, the caret, the event. `|` is the caret. */
async function type(marked, { isComposing = false } = {}) {
  const caret = marked.includes("|") ? marked.indexOf("|") : marked.length;
  await act(async () => {
    input().focus();
    setNative.call(input(), marked.replace("|", ""));
    input().setSelectionRange(caret, caret);
    input().dispatchEvent(new window.InputEvent("input", { bubbles: true, isComposing }));
  });
  await turn();
}

const shown = () => {
  const { value, selectionStart } = input();
  return `${value.slice(0, selectionStart)}|${value.slice(selectionStart)}`;
};

async function key(name) {
  await act(async () => input().dispatchEvent(new window.KeyboardEvent("keydown", { key: name, bubbles: true })));
}

async function submit() {
  await act(async () => {
    container.querySelector("form").dispatchEvent(new window.Event("submit", { bubbles: true, cancelable: true }));
    await settle();
  });
}

describe("typing", () => {
  it("groups and keeps the caret", async () => {
    await show(h(sdk.RedeemForm));
    await type("0000p");
    assert.equal(shown(), "0000-P|");
    await type("0000x|-P");
    assert.equal(shown(), "0000-X|P");
    await type("00|00-XP");
    assert.equal(shown(), "00|00-XP");
  });

  it("takes a pasted code in any writing", async () => {
    await show(h(sdk.RedeemForm));
    await type("  oooo pmhx–ft5v ppxf.4fnq\n");
    assert.equal(shown(), `${CODE}|`);
    assert.equal(input().getAttribute("aria-invalid"), "false");
  });

  it("puts the caret back where the text stays the same", async () => {
    await show(h(sdk.RedeemForm));
    await type("0000-PM");
    await type("00 |00-PM");
    assert.equal(shown(), "00|00-PM");
  });

  it("deletes across a separator in both directions", async () => {
    await show(h(sdk.RedeemForm));
    await type("0000-PM");
    input().setSelectionRange(5, 5);
    await key("Backspace");
    assert.equal(input().selectionStart, 4);
    await key("Delete");
    assert.equal(input().selectionStart, 5);
    input().setSelectionRange(2, 2);
    await key("Backspace");
    await key("Delete");
    assert.equal(input().selectionStart, 2);
  });

  it("leaves an input method alone until it has composed", async () => {
    await show(h(sdk.RedeemForm));
    await type("0000ｐｍ", { isComposing: true });
    assert.equal(input().value, "0000ｐｍ");
    await act(async () => input().dispatchEvent(new window.CompositionEvent("compositionend", { bubbles: true })));
    assert.equal(input().value, "0000-PM");
  });

  it("is invalid only when it is finished or left", async () => {
    await show(h(sdk.RedeemForm));
    await type("0000-PMHX-FT5V-PPX");
    assert.equal(input().getAttribute("aria-invalid"), "false");
    await act(async () => input().blur());
    await turn();
    assert.equal(input().getAttribute("aria-invalid"), "true");
    await type("0000-PMHX-FT5V-PPXF");
    assert.equal(input().getAttribute("aria-invalid"), "false");
  });
});

describe("a slip", () => {
  const SLIP = "0000-PMHX-FT6V-PPXF-4FNQ";

  it("is marked, and repaired only when the person says so", async () => {
    await show(h(sdk.RedeemForm, { classNames: { mark: "wrong" } }));
    await type(SLIP);
    assert.equal(input().getAttribute("aria-invalid"), "true");
    assert.equal(part("suggestion").textContent, `Did you mean ${CODE}? Use this code`);
    const marks = [...part("suggestion").querySelectorAll("mark")];
    assert.deepEqual(marks.map((mark) => [mark.textContent, mark.className]), [["5", "wrong"]]);
    assert.ok(part("suggestion").closest("[aria-live]").id === input().getAttribute("aria-describedby"));
    await submit();
    assert.equal(world.server.requests.length, 0, "a repaired code is never sent by itself");
    await click("accept");
    assert.equal(input().value, CODE);
    assert.equal(part("suggestion"), null);
    assert.equal(input().getAttribute("aria-invalid"), "false");
  });

  it("has its position told", async () => {
    const probe = await hook(() => sdk.useCodeInput({ initial: SLIP }));
    assert.equal(probe.value.wrongPosition, 10);
    assert.equal(probe.value.check.ok, false);
    assert.equal(probe.value.suggestion.code, CODE);
    assert.equal(probe.value.complete, true);
    assert.equal(probe.value.submittable, false);
    let accepted;
    await act(async () => (accepted = probe.value.acceptSuggestion()));
    assert.equal(accepted, CODE);
    assert.equal(probe.value.value, CODE);
    assert.equal(probe.value.wrongPosition, null);
    assert.equal(probe.value.submittable, true);
    await act(async () => probe.value.setValue("0000-P*"));
    assert.equal(probe.value.wrongPosition, 5);
    await act(async () => probe.value.setValue("spring1"));
    assert.equal(probe.value.submittable, true, "may be an alias");
    await act(async () => probe.value.setValue(""));
    assert.deepEqual([probe.value.check, probe.value.submittable, probe.value.wrongPosition], [null, false, null]);
  });

  it("that nothing explains is told", async () => {
    await show(h(sdk.RedeemForm));
    await type("0000-PMHX-FT5V-PPXF-4FNQ-ZZZ");
    await act(async () => input().blur());
    await turn();
    assert.match(part("hint").textContent, /not a complete code/);
  });
});

describe("the form", () => {
  it("goes from typing over the preview to the result", async () => {
    const redeemed = [];
    await show(h(sdk.RedeemForm, { currency: "EUR", order: "o1", onRedeemed: ({ status }) => redeemed.push(status) }));
    await type(CODE);
    await submit();
    assert.equal(state(), "confirming");
    assert.equal(part("preview").textContent, "5 € credit (Spring)");
    assert.equal(document.activeElement, part("submit"));
    assert.equal(input().readOnly, true);
    assert.deepEqual(world.server.to("POST").map(({ path, body }) => [path, body]), [["/v1/codes/preview", { code: CODE, currency: "EUR" }]]);
    await submit();
    assert.equal(state(), "done");
    assert.deepEqual(world.server.to("POST", "/v1/redemptions")[0].body, { code: CODE, currency: "EUR", order: "o1" });
    assert.deepEqual(redeemed, ["granted"]);
    assert.match(container.querySelector("[role=status]").textContent, /^Redeemed/);
    await submit();
    assert.equal(state(), "idle");
    assert.equal(input().value, "");
    assert.equal(document.activeElement, input());
  });

  it("sends nothing when the preview is cancelled", async () => {
    await show(h(sdk.RedeemForm));
    await type(CODE);
    await submit();
    await click("cancel");
    assert.equal(state(), "idle");
    assert.equal(input().value, CODE);
    assert.equal(world.server.to("POST", "/v1/redemptions").length, 0);
    assert.deepEqual(await world.client.pending(), []);
  });

  it("tells a refusal of the preview, and forgets it when the text changes", async () => {
    const refused = [];
    world.server.routes["POST /v1/codes/preview"] = () => problem(404, "code_not_recognised", { detail: "We do not know this code." });
    await show(h(sdk.RedeemForm, { onRefused: ({ code }) => refused.push(code) }));
    await type(CODE);
    await submit();
    assert.equal(state(), "refused");
    assert.equal(container.querySelector("[role=alert]").textContent, "We do not know this code.");
    assert.deepEqual(refused, ["code_not_recognised"]);
    await type("0000");
    assert.equal(state(), "idle");
    assert.equal(container.querySelector("[role=alert]").textContent, "");
  });

  it("tells what a preview says would be refused, in the app's own words", async () => {
    world.server.routes["POST /v1/codes/preview"] = () => ({ json: { ...PREVIEW, would: "refuse", refusal: { code: "already_redeemed" } } });
    await show(h(sdk.RedeemForm, { texts: { refused: ({ code }) => `Nein: ${code}`, label: "Gutschein" } }));
    assert.equal(part("label").textContent, "Gutschein");
    await type(CODE);
    await submit();
    assert.equal(state(), "refused");
    assert.equal(part("error").textContent, "Nein: already_redeemed");
  });

  it("lets one try again after an error, with the same key", async () => {
    world.server.routes["POST /v1/redemptions"] = () => problem(401, "invalid_token");
    await show(h(sdk.RedeemForm));
    await type(CODE);
    await submit();
    await submit();
    assert.equal(state(), "error");
    world.server.routes["POST /v1/redemptions"] = () => ({ status: 201, json: redemption("redeemed") });
    await submit();
    assert.equal(state(), "done");
    const keys = world.server.to("POST", "/v1/redemptions").map(({ key }) => key);
    assert.equal(new Set(keys).size, 1);
  });

  it("sends one request however often it is submitted", async () => {
    let answer;
    world.server.routes["POST /v1/redemptions"] = () => new Promise((resolve) => (answer = resolve));
    await show(h(sdk.RedeemForm));
    await type(CODE);
    await submit();
    await submit();
    await submit();
    assert.equal(state(), "redeeming");
    assert.equal(part("submit").disabled, true);
    assert.equal(world.server.to("POST", "/v1/redemptions").length, 1);
    answer({ status: 201, json: redemption("redeemed") });
    await turn();
    assert.equal(state(), "done");
  });

  it("continues after a reload in mid-request, and shows the result", async () => {
    const before = makeWorld();
    before.server.routes["POST /v1/redemptions"] = () => problem(401, "invalid_token");
    await assert.rejects(before.client.redeem({ code: CODE }));
    const after = makeWorld(before.storage);
    let answer;
    after.server.routes["POST /v1/redemptions"] = () => new Promise((resolve) => (answer = resolve));
    await show(h(sdk.RedeemForm), after.client);
    assert.equal(state(), "redeeming");
    answer({ status: 201, json: redemption("granted") });
    await turn();
    assert.equal(state(), "done");
    assert.equal(after.server.to("POST", "/v1/redemptions")[0].key, before.server.to("POST", "/v1/redemptions")[0].key);
  });
});

describe("a kept intent that cannot be continued now", () => {
  it("is told, and continued with the same key when the person tries again", async () => {
    const before = makeWorld();
    before.server.routes["POST /v1/redemptions"] = () => problem(401, "invalid_token");
    await assert.rejects(before.client.redeem({ code: CODE }));
    const after = makeWorld(before.storage);
    after.server.routes["POST /v1/redemptions"] = () => problem(401, "invalid_token");
    const probe = await hook(() => sdk.useRedemption(), after.client);
    assert.deepEqual([probe.value.state, probe.value.resumed, probe.value.sent], ["error", true, true]);
    await show(h(sdk.RedeemForm), after.client);
    assert.equal(state(), "error");
    after.server.routes["POST /v1/redemptions"] = () => ({ status: 201, json: redemption("granted") });
    await submit();
    assert.equal(state(), "done");
    const keys = [before, after].flatMap(({ server }) => server.to("POST", "/v1/redemptions")).map(({ key }) => key);
    assert.deepEqual([keys.length >= 3, new Set(keys).size], [true, 1]);
    assert.equal(after.server.to("POST", "/v1/codes/preview").length, 0);
  });
});

describe("useRedemption", () => {
  it("drops the answer to a preview that was replaced", async () => {
    const waiting = [];
    world.server.routes["POST /v1/codes/preview"] = ({ body }) => new Promise((resolve) => waiting.push([body.code, resolve]));
    const probe = await hook(() => sdk.useRedemption());
    await act(async () => void probe.value.preview("first"));
    await act(async () => void probe.value.preview("second"));
    await turn();
    assert.equal(world.server.requests[0].signal.aborted, true);
    waiting[1][1]({ json: PREVIEW });
    await turn();
    assert.deepEqual([probe.value.state, probe.value.code], ["confirming", "second"]);
  });

  it("drops that answer also from a client that cannot be cancelled", async () => {
    const waiting = [];
    const deaf = { ...world.client, preview: () => new Promise((resolve) => waiting.push(resolve)) };
    const probe = await hook(() => sdk.useRedemption(), deaf);
    await act(async () => void probe.value.preview("first"));
    await act(async () => probe.value.cancel());
    await act(async () => waiting[0](PREVIEW));
    assert.deepEqual([probe.value.state, probe.value.previewed], ["idle", null]);
  });

  it("does nothing for a confirmation without a preview", async () => {
    const probe = await hook(() => sdk.useRedemption());
    await act(async () => probe.value.confirm());
    assert.equal(probe.value.state, "idle");
    assert.equal(world.server.requests.length, 0);
  });

  it("says so while there is no client, and works when it comes", async () => {
    let arrive;
    const promise = new Promise((resolve) => (arrive = resolve));
    const probe = await hook(() => sdk.useRedemption(), promise);
    await act(async () => probe.value.preview(CODE));
    assert.deepEqual([probe.value.state, probe.value.error.code], ["error", "not_ready"]);
    await act(async () => arrive(world.client));
    await turn();
    assert.equal(probe.value.state, "idle");
    await act(async () => probe.value.preview(CODE));
    assert.equal(probe.value.state, "confirming");
  });

  it("shows each state of a slow redemption", async () => {
    const open = redemption("redeeming");
    world.server.routes["POST /v1/redemptions"] = () => ({ status: 202, json: open });
    world.server.routes.GET = () => ({ json: { ...open, status: "granted" } });
    const probe = await hook(() => [sdk.useRedemption(), sdk.useEvents(() => {})]);
    world.sockets.last().accept();
    await act(async () => probe.value[0].preview(CODE));
    await act(async () => (void probe.value[0].confirm(), await settle()));
    assert.deepEqual([probe.value[0].state, probe.value[0].redemption.status], ["redeeming", "redeeming"]);
    await act(async () => probe.value[0].cancel());
    assert.equal(probe.value[0].state, "redeeming", "what was sent cannot be called back");
    await act(async () => (world.sockets.last().deliver(event(2, "redemption.updated", { ...open, status: "granted" })), await settle()));
    assert.deepEqual([probe.value[0].state, probe.value[0].redemption.status], ["done", "granted"]);
  });
});

describe("a provider whose promise fails", () => {
  it("gives the error to the boundary", async () => {
    class Boundary extends Component {
      state = {};
      static getDerivedStateFromError = (error) => ({ error });
      render = () => (this.state.error ? this.state.error.cause.message : this.props.children);
    }
    const quiet = console.error;
    console.error = () => {};
    try {
      const failing = Promise.reject(new Error("signed out"));
      await act(async () => root.render(h(Boundary, null, h(sdk.CounterfoilProvider, { client: failing }, "shown"))));
      await turn();
    } finally {
      console.error = quiet;
    }
    assert.equal(container.textContent, "signed out");
  });
});

describe("live hooks", () => {
  const both = () => ({ wallet: sdk.useWallet(), list: sdk.useRedemptions() });

  it("read at once, again when the feed has begun, and follow it", async () => {
    const probe = await hook(both);
    assert.deepEqual([probe.value.wallet.wallet, probe.value.wallet.loading], [WALLET, false]);
    const old = redemption("granted", { created_at: "2026-04-01T00:00:00Z" });
    world.server.routes["GET /v1/wallet"] = () => ({ json: { ...WALLET, points: 11 } });
    world.server.routes["GET /v1/redemptions"] = () => ({ json: { items: [old] } });
    await act(async () => (world.sockets.last().accept(), await settle()));
    assert.equal(probe.value.wallet.wallet.points, 11);
    assert.deepEqual(probe.value.list.redemptions, [old]);
    const fresh = redemption("granting", { created_at: "2026-05-02T00:00:00Z" });
    await act(async () => world.sockets.last().deliver(event(2, "wallet.updated", { ...WALLET, points: 12 }), event(3, "redemption.updated", fresh)));
    assert.equal(probe.value.wallet.wallet.points, 12);
    assert.deepEqual(probe.value.list.redemptions, [fresh, old]);
    const later = { ...fresh, status: "granted", updated_at: "2026-05-02T00:00:01Z" };
    await act(async () => world.sockets.last().deliver(event(4, "redemption.updated", later)));
    assert.deepEqual(probe.value.list.redemptions, [later, old]);
    await act(async () => (probe.value.list.refresh(), await settle()));
    assert.deepEqual(probe.value.list.redemptions, [later, old]);
    assert.equal(world.sockets.opened.filter(({ closed }) => !closed).length, 1, "one connection for all hooks");
  });

  it("never let a slow reading undo what an event brought", async () => {
    const waiting = [];
    world.server.routes["GET /v1/wallet"] = () => new Promise((resolve) => waiting.push(resolve));
    const probe = await hook(both);
    await act(async () => (world.sockets.last().accept(), await settle()));
    await act(async () => world.sockets.last().deliver(event(2, "wallet.updated", { ...WALLET, points: 99 })));
    for (const resolve of waiting) resolve({ json: WALLET });
    await turn();
    assert.equal(probe.value.wallet.wallet.points, 99);
  });

  it("keep the later of two versions, whichever arrives last", async () => {
    const early = redemption("granting", { updated_at: "2026-05-01T12:00:00Z" });
    const late = { ...early, status: "granted", updated_at: "2026-05-01T12:00:01Z" };
    let answer;
    world.server.routes["GET /v1/redemptions"] = () => new Promise((resolve) => (answer = resolve));
    const probe = await hook(both);
    await act(async () => (world.sockets.last().accept(), await settle()));
    await act(async () => world.sockets.last().deliver(event(2, "redemption.updated", late)));
    answer({ json: { items: [early] } });
    await turn();
    assert.deepEqual(probe.value.list.redemptions, [late]);
  });

  it("take the latest of two readings that overtake each other", async () => {
    const waiting = [];
    const probe = await hook(both);
    world.server.routes["GET /v1/wallet"] = () => new Promise((resolve) => waiting.push(resolve));
    await act(async () => (probe.value.wallet.refresh(), await settle(), probe.value.wallet.refresh(), await settle()));
    waiting[1]({ json: { ...WALLET, points: 2 } });
    await turn();
    waiting[0]({ json: { ...WALLET, points: 1 } });
    await turn();
    assert.equal(probe.value.wallet.wallet.points, 2);
  });

  it("take over a reset", async () => {
    const probe = await hook(both);
    const one = redemption("granted");
    await act(async () => {
      world.sockets.last().accept().deliver({ reset: true, since: 50, wallet: { ...WALLET, points: 50 }, rewards: [], redemptions: [one] });
    });
    assert.equal(probe.value.wallet.wallet.points, 50);
    assert.deepEqual(probe.value.list.redemptions, [one]);
  });

  it("tell an error and recover", async () => {
    world.server.routes["GET /v1/wallet"] = () => problem(503, "overloaded");
    const probe = await hook(both);
    assert.deepEqual([probe.value.wallet.error.code, probe.value.wallet.wallet, probe.value.wallet.loading], ["overloaded", null, false]);
    world.server.routes["GET /v1/wallet"] = () => ({ json: WALLET });
    await act(async () => (probe.value.wallet.refresh(), await settle()));
    assert.deepEqual([probe.value.wallet.error, probe.value.wallet.wallet], [null, WALLET]);
  });

  it("let go of the connection when unmounted", async () => {
    await hook(both);
    const socket = world.sockets.last().accept();
    await show(null);
    assert.equal(socket.closed, true);
  });

  it("useEvents calls the latest listener, without subscribing again", async () => {
    const calls = [];
    let round = 0;
    const probe = await hook(() => {
      const now = ++round;
      return sdk.useEvents(({ seq }) => calls.push([now, seq]));
    });
    await act(async () => (world.sockets.last().accept(), await settle()));
    assert.equal(probe.value, "live");
    const opened = world.sockets.opened.length;
    await act(async () => world.sockets.last().deliver(event(2)));
    assert.deepEqual(calls, [[round, 2]]);
    assert.equal(world.sockets.opened.length, opened);
  });
});

describe("lists that page", () => {
  const old = (n) => redemption("granted", { redemption_id: `old${n}`, created_at: `2026-01-0${9 - n}T00:00:00Z` });
  const ids = (probe) => probe.value.redemptions.map(({ redemption_id }) => redemption_id);

  /** Pages of two, by a cursor that is the number of the first. */
  const pages = ({ query: { cursor = "0" } }) => {
    const first = Number(cursor);
    return { json: { items: [old(first), old(first + 1)], ...(first < 4 ? { next_cursor: String(first + 2) } : {}) } };
  };

  it("read on when asked, to the end, while events go on", async () => {
    world.server.routes["GET /v1/redemptions"] = pages;
    const probe = await hook(() => sdk.useRedemptions());
    assert.deepEqual([ids(probe), probe.value.hasMore], [["old0", "old1"], true]);
    await act(async () => (probe.value.loadMore(), probe.value.loadMore(), await settle()));
    assert.deepEqual(ids(probe), ["old0", "old1", "old2", "old3"]);
    await act(async () => (world.sockets.last().accept(), await settle()));
    assert.deepEqual([ids(probe).length, probe.value.hasMore], [4, true], "the first page read again ends nothing");
    await act(async () => world.sockets.last().deliver(event(2, "redemption.updated", redemption("granted", { redemption_id: "new" }))));
    await act(async () => (probe.value.loadMore(), await settle()));
    assert.deepEqual(ids(probe), ["new", "old0", "old1", "old2", "old3", "old4", "old5"]);
    assert.deepEqual([probe.value.hasMore, probe.value.loading], [false, false]);
    const asked = world.server.requests.length;
    await act(async () => (probe.value.loadMore(), await settle()));
    assert.equal(world.server.requests.length, asked);
  });

  it("keep what they have when a page cannot be read, and can try again", async () => {
    world.server.routes["GET /v1/redemptions"] = pages;
    const probe = await hook(() => sdk.useRedemptions());
    world.server.routes["GET /v1/redemptions"] = () => problem(503, "overloaded");
    await act(async () => (probe.value.loadMore(), await settle()));
    assert.deepEqual([probe.value.error.code, ids(probe), probe.value.hasMore, probe.value.loading], ["overloaded", ["old0", "old1"], true, false]);
    world.server.routes["GET /v1/redemptions"] = pages;
    await act(async () => (probe.value.loadMore(), await settle()));
    assert.deepEqual([probe.value.error, ids(probe).length], [null, 4]);
  });

  it("begin anew after a reset", async () => {
    world.server.routes["GET /v1/redemptions"] = pages;
    const probe = await hook(() => sdk.useRedemptions());
    await act(async () => (probe.value.loadMore(), await settle()));
    await act(async () => {
      world.sockets.last().accept().deliver({ reset: true, since: 50, wallet: WALLET, rewards: [], redemptions: [old(0)] });
      await settle();
    });
    assert.deepEqual([ids(probe), probe.value.hasMore], [["old0", "old1"], true]);
    await act(async () => (probe.value.loadMore(), await settle()));
    assert.deepEqual(ids(probe).length, 4);
  });
});

describe("useRewards", () => {
  const states = (probe) => probe.value.rewards.map(({ id, state }) => [id, state]);
  const unclaimed = reward("unclaimed", { id: "w" });
  const claimed = reward("pending_activation", { id: "w", via: ["unclaimed"] });
  const running = reward("granted", { id: "w", via: ["unclaimed", "pending_activation", "in_progress"], runs_until: "2026-05-01T14:00:00Z" });

  /** The hook with one unclaimed reward, and the server's next answer in hand. */
  async function holding() {
    world.server.routes["GET /v1/rewards"] = () => ({ json: { items: [unclaimed] } });
    let answer;
    world.server.routes.POST = () => new Promise((resolve) => (answer = resolve));
    const probe = await hook(() => sdk.useRewards());
    await act(async () => (world.sockets.last().accept(), await settle()));
    return { probe, answer: (json) => act(async () => (answer(json), await settle())) };
  }

  it("shows at once that a move is asked for, and the new state only when the server says so", async () => {
    const { probe, answer } = await holding();
    assert.deepEqual(states(probe), [["w", "unclaimed"]]);
    let moved;
    await act(async () => (void (moved = probe.value.claim("w")), await settle()));
    assert.deepEqual([states(probe), probe.value.pending], [[["w", "unclaimed"]], { w: "claim" }]);
    assert.equal(await probe.value.claim("w"), false, "asked for once");
    await answer({ json: claimed });
    assert.equal(await moved, true);
    assert.deepEqual([states(probe), probe.value.pending, probe.value.errors], [[["w", "pending_activation"]], {}, {}]);
    assert.deepEqual(world.server.to("POST").map(({ path }) => path), ["/v1/rewards/w/claim"]);
  });

  it("follows the feed, and lets no answer that comes late undo it", async () => {
    const { probe, answer } = await holding();
    await act(async () => (void probe.value.claim("w"), await settle()));
    await act(async () => world.sockets.last().deliver(event(2, "reward.updated", claimed), event(3, "reward.updated", running)));
    await answer({ json: claimed });
    assert.deepEqual(states(probe), [["w", "granted"]]);
    assert.equal(probe.value.rewards[0].runs_until, running.runs_until);
    await act(async () => (probe.value.refresh(), await settle()));
    assert.deepEqual(states(probe), [["w", "granted"]]);
  });

  it("keeps why a move was not made, reads what is true, and forgets it at the next try", async () => {
    const { probe, answer } = await holding();
    await act(async () => (void probe.value.activate("w"), await settle()));
    world.server.routes["GET /v1/rewards"] = () => ({ json: { items: [claimed] } });
    await answer(problem(409, "illegal_move", { state: "unclaimed", legal_moves: ["pending_activation", "declined"] }));
    assert.deepEqual([probe.value.errors.w.code, probe.value.errors.w.problem.state, probe.value.pending], ["illegal_move", "unclaimed", {}]);
    assert.deepEqual(states(probe), [["w", "pending_activation"]]);
    assert.equal(probe.value.error, null, "the list itself has been read");
    await act(async () => (void probe.value.decline("w"), await settle()));
    assert.deepEqual([probe.value.errors, probe.value.pending], [{}, { w: "decline" }]);
    await answer({ json: reward("declined", { id: "w", via: ["unclaimed", "pending_activation"] }) });
    assert.deepEqual(states(probe), [["w", "declined"]]);
  });

  it("takes over a reset", async () => {
    const { probe } = await holding();
    world.server.routes["GET /v1/rewards"] = () => ({ json: { items: [running] } });
    await act(async () => {
      world.sockets.last().deliver({ reset: true, since: 50, wallet: WALLET, rewards: [running], redemptions: [] });
      await settle();
    });
    assert.deepEqual(states(probe), [["w", "granted"]]);
  });

  it("does nothing without a client, and is one set of functions with it", async () => {
    const probe = await hook(() => sdk.useRewards(), null);
    assert.deepEqual([probe.value.rewards, probe.value.loading, await probe.value.claim("w")], [[], true, false]);
    const held = await holding();
    const { claim, loadMore } = held.probe.value;
    await act(async () => world.sockets.last().deliver(event(2, "reward.updated", claimed)));
    assert.deepEqual([held.probe.value.claim, held.probe.value.loadMore], [claim, loadMore]);
  });
});
