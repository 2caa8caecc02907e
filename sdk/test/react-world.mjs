// A light DOM for the React layer, over the real client, with the server and the sockets in hand. Anew for each test.

import { afterEach, beforeEach } from "node:test";

import { Window } from "happy-dom";

export const window = new Window({ url: "https://shop.test/" });
for (const name of ["window", "document", "HTMLElement", "HTMLInputElement", "HTMLIFrameElement", "Node", "Event", "navigator"]) {
  Object.defineProperty(globalThis, name, { configurable: true, value: name === "window" ? window : window[name] });
}
globalThis.IS_REACT_ACT_ENVIRONMENT = true;

// After the DOM is there, because React looks for it when it is loaded.
const { act, createElement: h, StrictMode } = await import("react");
const { createRoot } = await import("react-dom/client");
const { createClient } = await import("../dist/node.js");
export const sdk = await import("../dist/react.js");
const { FakeServer, fakeSockets, pageStorage, redemption, settle, tokenFor } = await import("./support.mjs");

export const CODE = "0000-PMHX-FT5V-PPXF-4FNQ";
export const PREVIEW = { would: "redeem", reward: { name: "5 € credit", type: "credit", value: {} }, campaign: { name: "Spring" }, rules: [] };
export const WALLET = { points: 10, xp: 0, tokens: 0, credit: [], features: [], boosters: [] };

export let root;
export let container;
export let world;

beforeEach(() => {
  container = document.body.appendChild(document.createElement("div"));
  root = createRoot(container);
  world = makeWorld();
});
afterEach(async () => {
  await act(async () => root.unmount());
  container.remove();
});

export function makeWorld(storage = pageStorage()) {
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

export const turn = () => act(settle);

export async function show(element, client = world.client) {
  await act(async () => root.render(h(StrictMode, null, h(sdk.CounterfoilProvider, { client }, element))));
  await turn();
}

/** Renders a hook and gives what it returned last. */
export async function hook(use, client) {
  const seen = { renders: 0 };
  const Probe = () => {
    seen.renders += 1;
    seen.value = use();
    return null;
  };
  await show(h(Probe), client);
  return seen;
}

export { act, h };
