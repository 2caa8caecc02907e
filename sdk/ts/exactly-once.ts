// Doing something exactly once: one kept idempotency key, sent again until the server has given its final answer.

import { CounterfoilError } from "./errors.js";
import type { Answer } from "./http.js";
import type { IntentStore, Kept } from "./intents.js";
import { backoffMs, sleep } from "./timing.js";

export interface OnceOptions {
  /** Stops waiting. The intent stays kept: the request may have been acted on. */
  signal?: AbortSignal | undefined;
  /** A try that ended without a final answer; the next one follows. Until then nobody can know whether it was done. */
  onRetry?: ((error: CounterfoilError) => void) | undefined;
}

const RETRY_BASE_MS = 500;
const RETRY_CAP_MS = 8_000;
const POLL_BASE_MS = 500;
const POLL_CAP_MS = 4_000;

/**
 * Sends a kept intent until there is a final answer, and forgets it then.
 *
 * @param send one try; always with the intent's own key
 * @param isDecided whether an answer is the final one; another is asked for again
 */
export async function exactlyOnce<T extends Kept, R>(
  store: IntentStore<T>,
  started: T,
  send: (intent: T, signal: AbortSignal | undefined) => Promise<Answer<R>>,
  isDecided: (body: R) => boolean,
  { signal, onRetry }: OnceOptions,
): Promise<R> {
  let intent = started;
  for (let tries = 0; ; tries++) {
    let waitMs: number;
    try {
      const answer = await send(intent, signal);
      if (isDecided(answer.body)) {
        store.drop(intent);
        return answer.body;
      }
      waitMs = (answer.retryAfterMs ?? 0) + backoffMs(tries, POLL_BASE_MS, POLL_CAP_MS);
    } catch (thrown) {
      const error = CounterfoilError.from(thrown);
      const meaning = verdict(error);
      if (meaning === "final") store.drop(intent);
      if (meaning === "final" || meaning === "keep") throw error;
      if (meaning === "uncertain" && !intent.uncertain) intent = store.update(intent, { uncertain: true } as Partial<T>);
      onRetry?.(error);
      // Never earlier than asked, and not all at the same instant after it.
      waitMs = (error.retryAfterMs ?? 0) + backoffMs(tries, RETRY_BASE_MS, RETRY_CAP_MS);
    }
    await sleep(waitMs, signal);
  }
}

/**
 * What a failure means for the intent.
 * `final`: the server has answered. `keep`: no use in trying now, the intent stays. `uncertain`: the server may have
 * acted; only the same key may be sent again. `retry`: it has not acted.
 */
function verdict({ code, status }: CounterfoilError): "final" | "keep" | "uncertain" | "retry" {
  if (code === "aborted" || code === "invalid_token" || status === 401) return "keep";
  if (status === undefined || status >= 500 || status === 408 || status < 300) return "uncertain";
  if (code === "rate_limited" || code === "idempotency_key_in_use") return "retry";
  // A proxy's page: it says nothing of what the edge has done with an earlier try.
  return code === "unexpected_answer" ? "keep" : "final";
}
