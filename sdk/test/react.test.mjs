// The React layer: typing, the form, and useRedemption.

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { act, CODE, container, h, hook, makeWorld, PREVIEW, root, sdk, show, turn, window, world } from "./react-world.mjs";
import { event, problem, redemption, settle } from "./support.mjs";

const { Component } = await import("react");

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
