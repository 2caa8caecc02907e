// One request, one answer: bearer token, time-out, problem+json to CounterfoilError.

import { CounterfoilError } from "./errors.js";
import { abortedError, retryAfterMs } from "./timing.js";
import type { Problem } from "./wire.js";

/**
 * The bearer token, or how to get one: asked before every request, so it may well keep what it has. When the server
 * has refused the last one, that one is given as `refused`, until the answer is another.
 */
export type TokenSource = string | ((refused?: string) => string | Promise<string>);

export interface Request {
  method: "GET" | "POST" | "DELETE";
  /** From the base address on, with a leading slash. */
  path: string;
  query?: Record<string, string | number | undefined> | undefined;
  body?: unknown;
  idempotencyKey?: string | undefined;
  signal?: AbortSignal | undefined;
  timeoutMs?: number | undefined;
}

export interface Answer<T> {
  status: number;
  body: T;
  retryAfterMs: number | undefined;
}

const TRY_TIMEOUT_MS = 15_000;

export class Http {
  readonly base: string;
  readonly #token: TokenSource;
  readonly #fetch: typeof fetch;
  #refused: string | undefined;
  /** The server's clock less this device's, in milliseconds. */
  #skewMs = 0;

  constructor(baseUrl: string, token: TokenSource, fetchImpl?: typeof fetch) {
    this.base = absolute(baseUrl);
    this.#token = token;
    // Looked up at each call, so that a fetch replaced later (a service worker's mock) is used.
    this.#fetch = fetchImpl ?? ((input, init) => globalThis.fetch(input, init));
  }

  /** The token as it is now. */
  async token(): Promise<string> {
    let cause: unknown;
    try {
      const token = typeof this.#token === "function" ? await this.#token(this.#refused) : this.#token;
      if (token !== this.#refused) this.#refused = undefined;
      if (typeof token === "string" && token) return token;
    } catch (thrown) {
      cause = thrown;
    }
    throw new CounterfoilError("invalid_token", "token() gave no token.", { cause, retryable: true });
  }

  /** The server no longer takes this token. */
  refuse(token: string): void {
    this.#refused = token;
  }

  /** The server's time, in milliseconds. */
  now(): number {
    return Date.now() + this.#skewMs;
  }

  /**
   * The server said `at` just now, or some time ago. Its clock is at least there, and at most at `latest` where that is
   * known; what is believed of it is changed only when it does not fit.
   */
  hear(at: number, latest = Infinity): void {
    const now = this.now();
    if (now < at) this.#skewMs += at - now;
    else if (now > latest) this.#skewMs += latest - now;
  }

  address(path: string, query: Request["query"] = {}): string {
    const parameters = new URLSearchParams();
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined) parameters.set(name, String(value));
    }
    const text = parameters.toString();
    return this.base + path + (text && `?${text}`);
  }

  /** Sends once; once more with a fresh token when the server answers 401 and token is a function. */
  async send<T>(request: Request): Promise<Answer<T>> {
    try {
      return await this.#once<T>(request);
    } catch (error) {
      const expired = error instanceof CounterfoilError && error.status === 401;
      if (!expired || typeof this.#token !== "function") throw error;
      return this.#once<T>(request);
    }
  }

  async #once<T>(request: Request): Promise<Answer<T>> {
    const token = await this.token();
    const headers: Record<string, string> = { accept: "application/json", authorization: `Bearer ${token}` };
    if (request.body !== undefined) headers["content-type"] = "application/json";
    if (request.idempotencyKey) headers["idempotency-key"] = request.idempotencyKey;

    const { signal } = request;
    if (signal?.aborted) throw abortedError(signal);
    const controller = new AbortController();
    const onAbort = () => controller.abort();
    signal?.addEventListener("abort", onAbort);
    const timer = setTimeout(onAbort, request.timeoutMs ?? TRY_TIMEOUT_MS);
    const sentAt = Date.now();
    let response: Response;
    let text: string;
    try {
      const init: RequestInit = { method: request.method, headers, signal: controller.signal };
      if (request.body !== undefined) init.body = JSON.stringify(request.body);
      response = await this.#fetch(this.address(request.path, request.query), init);
      // Written in whole seconds, somewhere between the sending and now.
      const date = Date.parse(response.headers.get("date") ?? "");
      this.hear(date, date + 1000 + Date.now() - sentAt);
      text = await response.text();
    } catch (cause) {
      if (signal?.aborted) throw abortedError(signal);
      throw controller.signal.aborted
        ? new CounterfoilError("timeout", "The server did not answer in time.", { cause, retryable: true })
        : new CounterfoilError("network_error", "The server could not be reached.", { cause, retryable: true });
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    }
    if (response.status === 401) this.refuse(token);
    return understand<T>(response, text);
  }
}

function understand<T>(response: Response, text: string): Answer<T> {
  const { status } = response;
  const wait = retryAfterMs(response.headers.get("retry-after"));
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    body = undefined;
  }
  const isObject = typeof body === "object" && body !== null;
  // 204 is an answer without a body.
  if (response.ok && (isObject || status === 204)) return { status, body: body as T, retryAfterMs: wait };
  if (!response.ok && isObject && typeof (body as Problem).code === "string") {
    const problem = body as Problem;
    const retryable = status >= 500 || status === 429 || status === 401;
    throw new CounterfoilError(problem.code, problem.detail ?? problem.title ?? problem.code, {
      status,
      problem,
      retryable,
      retryAfterMs: wait,
    });
  }
  // A proxy's page or a captive portal, not the API: it says nothing about what the API did.
  throw new CounterfoilError("unexpected_answer", `Not an answer of the API (status ${status}).`, {
    status,
    retryable: true,
    retryAfterMs: wait,
  });
}

function absolute(baseUrl: string): string {
  let url: URL;
  try {
    url = URL.canParse(baseUrl) ? new URL(baseUrl) : new URL(baseUrl, globalThis.location.href);
  } catch (cause) {
    throw new CounterfoilError("invalid_argument", `baseUrl is not an address: ${baseUrl}`, { cause });
  }
  if (!/^https?:$/.test(url.protocol)) {
    throw new CounterfoilError("invalid_argument", `baseUrl must be http or https: ${baseUrl}`);
  }
  return (url.origin + url.pathname).replace(/\/+$/, "");
}
