// The line between page and edge: a TCP proxy that a test can cut and mend.

import { once } from "node:events";
import net from "node:net";

const HOST = "127.0.0.1";

/** A line whose address is known before what it leads to: `connect` says where the edge listens. */
export async function openLine() {
  let port;
  /** Both ends of every connection, and whether it carries a WebSocket. */
  const connections = new Set();
  let whole = true;

  const server = net.createServer((near) => {
    if (!whole || port === undefined) return near.destroy();
    const far = net.connect(port, HOST);
    const connection = { near, far, webSocket: false };
    connections.add(connection);
    near.once("data", (head) => (connection.webSocket = /\r\nupgrade: websocket\r\n/i.test(head.toString("latin1"))));
    near.pipe(far).pipe(near);
    const end = () => {
      connections.delete(connection);
      near.destroy();
      far.destroy();
    };
    for (const side of [near, far]) side.on("error", end).on("close", end);
  });
  server.listen(0, HOST);
  await once(server, "listening");

  const destroy = (chosen) => {
    const ended = [...connections].filter(chosen);
    for (const { near, far } of ended) {
      near.resetAndDestroy();
      far.destroy();
    }
    return ended.length;
  };
  return {
    url: `http://${HOST}:${server.address().port}`,
    connect(edgePort) {
      port = edgePort;
    },
    /** Ends every WebSocket and answers how many there were; new ones pass. */
    cutSockets: () => destroy(({ webSocket }) => webSocket),
    /** Nothing passes any more. */
    cut() {
      whole = false;
      return destroy(() => true);
    },
    mend() {
      whole = true;
    },
    async close() {
      whole = false;
      server.close();
      destroy(() => true);
      await once(server, "close");
    },
  };
}
