// Rendering on a server: everything renders, nothing is started.

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { createElement as h } from "react";
import { renderToString } from "react-dom/server";

import { createClient } from "../dist/node.js";
import * as sdk from "../dist/react.js";

const { CounterfoilProvider, RedeemForm } = sdk;
const never = () => assert.fail("a server render must not send anything");
const client = () => createClient({ baseUrl: "https://edge.test", token: never, fetch: never, WebSocket: never });
const render = (children, given = client()) => renderToString(h(CounterfoilProvider, { client: given }, children));

describe("on a server", () => {
  it("the form renders, with a label that belongs to its input", () => {
    const html = render(h(RedeemForm, { classNames: { form: "redeem", input: "wide" } }));
    const [, labelled] = /<label[^>]* for="([^"]+)"/.exec(html);
    assert.match(html, new RegExp(`<input[^>]* id="${labelled}"`));
    assert.match(html, /<form[^>]* class="redeem"[^>]* data-state="idle"/);
    assert.match(html, /aria-live="polite"/);
    assert.match(html, /role="alert"/);
  });

  it("every hook renders, whatever the provider has", () => {
    function All() {
      const input = sdk.useCodeInput({ initial: "0000pm" });
      const redemption = sdk.useRedemption();
      const { wallet, loading } = sdk.useWallet();
      const { redemptions } = sdk.useRedemptions();
      const state = sdk.useEvents(() => {});
      return h("p", null, JSON.stringify([input.value, redemption.state, wallet, loading, redemptions, state, sdk.useClient() !== null]));
    }
    const text = (given) => render(h(All), given).replaceAll("&quot;", '"');
    // What the person typed is formatted in the browser: both first renders must be the same.
    assert.equal(text(client()), '<p>["0000pm","idle",null,true,[],"connecting",true]</p>');
    assert.equal(text(null), '<p>["0000pm","idle",null,true,[],"connecting",false]</p>');
    assert.equal(text(Promise.resolve(client())), '<p>["0000pm","idle",null,true,[],"connecting",false]</p>');
  });

  for (const hook of ["useClient", "useRedemption", "useWallet", "useRedemptions", "useEvents"]) {
    it(`${hook}() outside the provider says what to wrap`, () => {
      const Lost = () => sdk[hook](() => {}) && null;
      assert.throws(() => renderToString(h(Lost)), new RegExp(`^Error: ${hook}\\(\\) found no provider: wrap .* in <CounterfoilProvider client=`));
    });
  }
});
