// A caller whose server may die at any byte. A request then has no answer (`Torn`): neither done nor not done, which is what
// idempotency keys are for. Every whole answer is held against what the API promises of all answers.
import http from "node:http";
import { understood } from "../http/client.mjs";
import { signToken } from "../http/env.mjs";

const answerWithinMs = 40_000;

/** The connection ended before the answer was whole. */
export class Torn extends Error {}

/** One life of the server, from a start to its kill: connections never outlive it. */
export class Life {
  constructor(url) {
    this.url = url;
    // Idle connections go before the server's own patience with them (5 s) ends: that would look like a death.
    this.agent = new http.Agent({ keepAlive: true, maxSockets: 64, timeout: 2_000 });
    this.over = false;
    this.answers = 0;
    /** Requests sent again because their connection had been ended before them. */
    this.stale = 0;
    /** Called with each answer's head, before its body is read; where it answers false, the rest never arrives. */
    this.onAnswer = undefined;
  }

  /** From now on every request is torn. */
  end() {
    this.over = true;
    this.agent.destroy();
  }

  /** Sends one request and answers `{method, path, status, headers, text}`, or throws `Torn`. */
  send({ method = "GET", path, headers = {}, body }) {
    if (this.over) return Promise.reject(new Torn("the server is dead"));
    const payload = body === undefined ? undefined : Buffer.from(typeof body === "string" ? body : JSON.stringify(body));
    const all = { ...headers };
    if (payload) all["content-type"] ??= "application/json";
    if (method !== "GET") all["content-length"] = payload?.length ?? 0;
    const { hostname, port } = new URL(this.url);
    return new Promise((resolve, reject) => {
      let begun = false;
      const torn = (error) => {
        // A server may end a connection between two requests, and then it has not read the second (RFC 9112, 9.3.1).
        if (request.reusedSocket && !begun && !this.over && error.code === "ECONNRESET") {
          this.stale += 1;
          resolve(this.send({ method, path, headers, body }));
        } else {
          reject(new Torn(`${method} ${path}: ${error.message}`));
        }
      };
      const request = http.request({ hostname, port, path, method, headers: all, agent: this.agent });
      request.setTimeout(answerWithinMs, () => {
        // Silence of a server that runs is a failure of its own, never a torn answer.
        reject(new Error(`${method} ${path}: no answer within ${answerWithinMs} ms`));
        request.destroy();
      });
      request.on("error", torn);
      request.on("response", (response) => {
        begun = true;
        this.answers += 1;
        if (this.onAnswer?.(response.statusCode) === false) {
          request.destroy();
          return torn(new Error("cut off at its head"));
        }
        const parts = [];
        response.on("data", (part) => parts.push(part));
        response.on("error", torn);
        response.on("aborted", () => torn(new Error("cut off")));
        response.on("end", () => {
          if (!response.complete) torn(new Error("cut short"));
          else resolve({ method, path, status: response.statusCode, headers: response.headers, text: Buffer.concat(parts).toString("utf8") });
        });
        return undefined;
      });
      request.end(payload);
    });
  }
}

/** Somebody with a token, who talks to whatever life the stage is in. */
export class Caller {
  constructor(stage, claims) {
    this.stage = stage;
    this.sub = claims.sub;
    this.token = signToken({ ...claims, exp: Math.floor(Date.now() / 1000) + 24 * 3600 });
  }

  async ask(method, path, { body, key, headers = {} } = {}) {
    const own = { authorization: `Bearer ${this.token}` };
    if (key !== undefined) own["idempotency-key"] = key;
    return understood(await this.stage.life.send({ method, path, body, headers: { ...own, ...headers } }));
  }

  get(path) {
    return this.ask("GET", path);
  }

  post(path, body, options) {
    return this.ask("POST", path, { body, ...options });
  }

  /** Every item of a list, page by page. */
  async every(path) {
    const items = [];
    let cursor;
    do {
      const query = `limit=200${cursor === undefined ? "" : `&cursor=${encodeURIComponent(cursor)}`}`;
      const { status, body, text } = await this.get(`${path}${path.includes("?") ? "&" : "?"}${query}`);
      if (status !== 200) throw new Error(`GET ${path} answered ${status}: ${text.slice(0, 300)}`);
      items.push(...body.items);
      cursor = body.next_cursor;
    } while (cursor !== undefined);
    return items;
  }
}
