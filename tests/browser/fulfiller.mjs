// A fulfiller that answers as it is told, and remembers what it was asked.

import { once } from "node:events";
import http from "node:http";
import { after, before } from "node:test";

/** One for all tests of a file; its address is there once the tests run. */
export function fulfillerForThisFile() {
  let answer = { status: 200, body: { outcome: "granted" } };
  const asked = [];
  const server = http.createServer((request, response) => {
    asked.push(request.headers["webhook-id"]);
    request.resume();
    request.once("end", () => {
      response.writeHead(answer.status, { "content-type": "application/json" });
      response.end(answer.body && JSON.stringify(answer.body));
    });
  });
  const fulfiller = {
    url: undefined,
    /** What is answered from now on. */
    answers(status, body) {
      answer = { status, body };
    },
    /** The ids of the deliveries that came since the last call, in their order. */
    takeIds: () => asked.splice(0),
  };
  before(async () => {
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    fulfiller.url = `http://127.0.0.1:${server.address().port}/`;
  });
  after(() => {
    server.closeAllConnections();
    server.close();
  });
  return fulfiller;
}
