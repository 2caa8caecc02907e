// One error type for everything this package throws.

import type { Problem, Refusal } from "./wire.js";

/**
 * Codes of failures on this side of the wire. A server's answer brings its own code
 * (`already_redeemed`, `invalid_token`, …), listed in the HTTP API.
 */
export type ClientErrorCode =
  | "aborted"
  | "invalid_argument"
  | "network_error"
  | "not_ready"
  | "timeout"
  | "unexpected_answer"
  | "wasm_unavailable";

/** Statuses that say something of a code or a reward; 200 brings a refusal inside an answer. */
const REFUSAL_STATUSES = [200, 403, 404, 409, 410, 422, 429];
/** Problems of the protocol with such a status: they decide nothing all the same. */
const PROTOCOL_CODES = ["already_exists", "forbidden", "idempotency_key_in_use", "idempotency_key_reused", "not_found", "rate_limited"];

export interface CounterfoilErrorDetails {
  status?: number | undefined;
  problem?: Problem | undefined;
  cause?: unknown;
  retryable?: boolean | undefined;
  retryAfterMs?: number | undefined;
}

/** Every throw and every rejection of this package. Switch on `code`, never on `message`. */
export class CounterfoilError extends Error {
  override readonly name = "CounterfoilError";
  /** Stable, snake_case: the problem's own code, or a `ClientErrorCode`. */
  readonly code: ClientErrorCode | (string & {});
  /** HTTP status; absent when no answer arrived. */
  readonly status: number | undefined;
  /** The server's RFC 9457 answer with its extras (`held_until`, `points_needed`, …). */
  readonly problem: Problem | undefined;
  /** Whether the same call may succeed later without anything being changed. */
  readonly retryable: boolean;
  /** How long the server asked to wait. */
  readonly retryAfterMs: number | undefined;

  constructor(code: string, message: string, details: CounterfoilErrorDetails = {}) {
    super(message, "cause" in details ? { cause: details.cause } : undefined);
    this.code = code;
    this.status = details.status;
    this.problem = details.problem;
    this.retryable = details.retryable ?? false;
    this.retryAfterMs = details.retryAfterMs;
  }

  /** An answer, not a failure: the rules decided against the code, and `code` says which. */
  get isRefusal(): boolean {
    return REFUSAL_STATUSES.includes(this.problem?.status ?? 0) && !PROTOCOL_CODES.includes(this.code);
  }

  /** The error for a refusal that arrived inside a 200 answer: a redemption read later, or a preview. */
  static refused(refusal: Refusal | undefined): CounterfoilError {
    const code = refusal?.code ?? "refused";
    const problem = { type: "about:blank", title: "Refused", status: 200, ...refusal, code };
    return new CounterfoilError(code, `The code was refused: ${code}.`, { problem });
  }

  /** Whatever was thrown, as this one type. */
  static from(thrown: unknown): CounterfoilError {
    if (thrown instanceof CounterfoilError) return thrown;
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    return new CounterfoilError("unexpected_answer", message, { cause: thrown });
  }
}

/** Wraps an application's callback: what it throws is reported as its own, and breaks nothing here. */
export function guarded<A extends unknown[]>(callback: (...args: A) => void): (...args: A) => void {
  return (...args) => {
    try {
      callback(...args);
    } catch (thrown) {
      (globalThis.reportError ?? console.error)(thrown);
    }
  };
}
