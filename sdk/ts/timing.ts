// Waiting: jittered back-off, and a sleep that a signal or a returning network cuts short.

import { CounterfoilError } from "./errors.js";

/**
 * Exponential back-off with full jitter: anywhere between 0 and the ceiling of this try, so that
 * clients cut off together do not come back together.
 */
export function backoffMs(tries: number, baseMs: number, capMs: number): number {
  return Math.random() * Math.min(capMs, baseMs * 2 ** Math.min(tries, 30));
}

/** Waits, or ends early when the browser reports the network back. Rejects when the signal aborts. */
export function sleep(ms: number, signal?: AbortSignal, wake?: Promise<unknown>): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(abortedError(signal));
    const end = (settle: () => void) => () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      globalThis.removeEventListener?.("online", onEnd);
      settle();
    };
    const onEnd = end(resolve);
    const onAbort = end(() => reject(abortedError(signal)));
    const timer = setTimeout(onEnd, ms);
    signal?.addEventListener("abort", onAbort);
    globalThis.addEventListener?.("online", onEnd);
    void wake?.then(onEnd);
  });
}

/** What a cancelled call rejects with; `cause` is the signal's own reason. */
export function abortedError(signal?: AbortSignal): CounterfoilError {
  return new CounterfoilError("aborted", "The call was cancelled.", {
    cause: signal?.reason,
    retryable: true,
  });
}

/** `Retry-After` in milliseconds: seconds or an HTTP date. */
export function retryAfterMs(header: string | null): number | undefined {
  if (!header) return undefined;
  const seconds = Number(header);
  const ms = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(header) - Date.now();
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined;
}
