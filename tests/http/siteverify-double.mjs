// A challenge service for tests: the siteverify call that Turnstile and hCaptcha share. Knows which responses are good, takes
// each once, and writes down what it was asked.
import http from "node:http";

/** Starts a service that goes away with the test or suite `t`; answers by `responses`, which may be added to. */
export async function startSiteverify(t, { secret, responses = [] }) {
  const double = { good: new Set(responses), asked: [], answer: undefined };
  const server = http.createServer(async (request, response) => {
    const parts = [];
    for await (const part of request) parts.push(part);
    const text = Buffer.concat(parts).toString("utf8");
    const json = /^application\/json/.test(request.headers["content-type"] ?? "");
    const fields = json ? JSON.parse(text) : Object.fromEntries(new URLSearchParams(text));
    double.asked.push({ method: request.method, path: request.url, ...fields });
    if (double.answer) {
      response.writeHead(double.answer.status, { "content-type": "application/json" }).end(double.answer.text);
      return;
    }
    const success = fields.secret === secret && double.good.has(fields.response);
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ success, "error-codes": success ? [] : ["invalid-input-response"] }));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  double.url = `http://127.0.0.1:${server.address().port}/siteverify`;
  return double;
}
