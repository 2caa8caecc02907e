// What happens elsewhere appears by itself, and nothing of it is missed when the connection breaks.

import assert from "node:assert/strict";
import { test } from "node:test";

import { until } from "../http/client.mjs";
import { storefrontForThisFile } from "./storefront.mjs";

const shop = storefrontForThisFile();
const TEN_EUROS = 1000;
const NETWORK_COMPLAINTS = [/WebSocket connection to .* failed/, /net::ERR_(CONNECTION|EMPTY|SOCKET)/];

/** Records the numbers of the events that arrive in a tab by socket, and how many sockets there were. */
function recordEvents(page) {
  const record = { seqs: [], sockets: 0 };
  page.on("websocket", (socket) => {
    record.sockets += 1;
    socket.on("framereceived", ({ payload }) => {
      if (typeof payload === "string" && payload.startsWith("{")) record.seqs.push(JSON.parse(payload).seq);
    });
  });
  return record;
}

function assertConsecutive(seqs) {
  assert.ok(seqs.length > 0, "events arrived");
  assert.deepEqual(seqs, seqs.map((_, index) => seqs[0] + index), "no gap and no repeat");
}

test("a redemption in one tab is seen in another, live", async () => {
  const [code] = await shop.mint();
  await shop.inTab({ member: "ann" }, async (one, visitor) => {
    const other = await visitor.tab("ann");
    // The tab behind is drawn rarely, and a click waits for that.
    await one.page.bringToFront();
    const before = await other.credit();
    const entries = await other.entries.count();
    await one.redeem(code);
    await other.creditBecomes(before + TEN_EUROS);
    await other.entriesBecome(entries + 1);
    assert.match(await other.entries.first().textContent(), /€10\.00 shop credit.*Received/);
    assert.match(await other.page.locator(".wallet [role=status]").textContent(), /plus €10\.00 credit/, "told to a screen reader");
    other.assertQuiet();
  });
});

test("a dropped socket: said so, reconnected, and everything that happened meanwhile arrives once", async () => {
  const codes = await shop.mint(4);
  await shop.inTab({ member: "ben", expects: NETWORK_COMPLAINTS }, async (tab) => {
    const record = recordEvents(tab.page);
    await tab.page.reload();
    await tab.live();
    const before = await tab.credit();
    await shop.redeemElsewhere("ben", codes[0]);
    await tab.creditBecomes(before + TEN_EUROS);

    shop.line.cut();
    try {
      await tab.connectionIs("reconnecting", "offline");
      for (const code of codes.slice(1)) await shop.redeemElsewhere("ben", code);
      await tab.connectionIs("offline");
      await tab.page.getByText("You are offline").waitFor();
      assert.equal(await tab.credit(), before + TEN_EUROS, "the page does not pretend");
    } finally {
      shop.line.mend();
    }
    await tab.connectionIs("live");
    await tab.creditBecomes(before + 4 * TEN_EUROS);
    await until(() => tab.entries.count(), (count) => count >= 4);
    assertConsecutive(record.seqs);
    assert.ok(record.sockets >= 2);
  });
});

test("a socket that is reset while events flow is taken up where it ended", async () => {
  // Each loss in a row lengthens the pause before the next try: three stay within a test's patience.
  const codes = await shop.mint(3);
  await shop.inTab({ member: "cleo", expects: NETWORK_COMPLAINTS }, async (tab) => {
    const record = recordEvents(tab.page);
    await tab.page.reload();
    await tab.live();
    const before = await tab.credit();
    for (const code of codes) {
      await until(() => shop.line.cutSockets(), (ended) => ended === 1);
      await shop.redeemElsewhere("cleo", code);
    }
    await tab.creditBecomes(before + codes.length * TEN_EUROS);
    await tab.connectionIs("live");
    assertConsecutive(record.seqs);
    assert.ok(record.sockets > codes.length);
  });
});

test("changing who shops while a connection is being opened is nothing to complain of", async () => {
  const visitor = await shop.visitor();
  try {
    // Somebody else shops as soon as a socket has been asked for, a few times over.
    await visitor.context.addInitScript(() => {
      let changes = 3;
      globalThis.WebSocket = class extends WebSocket {
        constructor(...given) {
          super(...given);
          if (changes-- > 0) queueMicrotask(() => document.querySelector(".member input:not(:checked)").click());
        }
      };
    });
    const tab = await visitor.tab("ann");
    assert.equal(await tab.page.getByRole("radio", { name: "Ben" }).isChecked(), true, "three changes later");
    tab.assertQuiet();
  } finally {
    await visitor.close();
  }
});

test("where sockets are blocked the page says so and still follows", async () => {
  const [code] = await shop.mint();
  const visitor = await shop.visitor();
  try {
    await visitor.context.routeWebSocket(/\/v1\/events/, (socket) => socket.close());
    const tab = await visitor.tab("ann", { until: "polling" });
    const before = await tab.credit();
    assert.equal((await tab.connection.textContent()).trim(), "Updates: Live, slower");
    await shop.redeemElsewhere("ann", code);
    await tab.creditBecomes(before + TEN_EUROS);
    tab.assertQuiet(NETWORK_COMPLAINTS);
  } finally {
    await visitor.close();
  }
});

test("a shop that cannot be reached at all: said so, and right again by itself", async () => {
  const visitor = await shop.visitor();
  shop.line.cut();
  try {
    const tab = await visitor.tab("ann", { until: "offline" });
    await tab.page.getByText("The shop cannot be reached").first().waitFor();
    await tab.page.getByRole("button", { name: "Load again" }).first().waitFor();
    shop.line.mend();
    await tab.live();
    await until(() => tab.page.getByRole("button", { name: "Load again" }).count(), (count) => count === 0);
    tab.assertQuiet(NETWORK_COMPLAINTS);
  } finally {
    shop.line.mend();
    await visitor.close();
  }
});
