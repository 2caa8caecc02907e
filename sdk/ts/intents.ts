// Intents: a redemption that was asked for and has no final answer yet, kept where a reload finds it.

import { CounterfoilError } from "./errors.js";

/** What is kept of an intent. Holds the code, because only the code can be sent again. */
export interface Intent {
  /** The idempotency key: made once, the same on every try. */
  readonly key: string;
  readonly code: string;
  readonly currency?: string;
  readonly order?: string;
  readonly created_at_ms: number;
  /** Known once the server has accepted the request without deciding it. */
  readonly redemption_id?: string | undefined;
  /** A try ended without an answer, so that the server may have acted on it. */
  readonly uncertain?: boolean;
}

/** What is needed of `localStorage`; anything with its shape will do. */
export type StorageLike = Pick<Storage, "length" | "key" | "getItem" | "setItem" | "removeItem">;

/** Keeps things in memory: on a server, and where the browser forbids storage. */
export function memoryStorage(): StorageLike {
  const entries = new Map<string, string>();
  return {
    get length() {
      return entries.size;
    },
    key: (index) => [...entries.keys()][index] ?? null,
    getItem: (name) => entries.get(name) ?? null,
    setItem: (name, value) => void entries.set(name, value),
    removeItem: (name) => void entries.delete(name),
  };
}

/** The browser's own storage, when it exists and may be used (a blocked one throws on access). */
export function browserStorage(kind: "localStorage" | "sessionStorage"): StorageLike | undefined {
  try {
    const storage = globalThis[kind];
    const probe = "counterfoil:probe";
    storage.setItem(probe, "");
    storage.removeItem(probe);
    return storage;
  } catch {
    return undefined;
  }
}

/**
 * Whose storage: deployment, merchant and member, so that two people at one computer never continue
 * each other's intents. The token is read, not verified; that is the server's work.
 */
export function memberScope(base: string, token: string): string {
  let member = "";
  try {
    const payload = token.split(".")[1] ?? "";
    const bytes = Uint8Array.from(atob(payload.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
    const claims = JSON.parse(new TextDecoder().decode(bytes)) as { merchant?: unknown; sub?: unknown };
    member = JSON.stringify([claims.merchant, claims.sub]);
  } catch {
    // Not a JWT: one scope for the deployment.
  }
  return `counterfoil:${base}:${member}`;
}

/**
 * Two texts that the server reads alike have one identity. This is the reading table's effect on
 * what people type, without the checks; those are not needed to find an intent again.
 */
export function identity(code: string, order?: string): string {
  const symbols = code
    .normalize("NFKC")
    .replace(/[\s\p{Pd}\u2212\u00ad\u200b-\u200d\u2060\ufeff._]/gu, "")
    .replace(/[a-z]/g, (letter) => letter.toUpperCase())
    .replace(/O/g, "0")
    .replace(/[IL]/g, "1");
  return JSON.stringify(order === undefined ? [symbols] : [symbols, order]);
}

/** The kept intents of one member. One storage entry each: two tabs never overwrite a list. */
export class IntentStore {
  readonly #prefix: string;
  readonly #storage: StorageLike;
  readonly #fallback: StorageLike;

  /** `fallback` takes what a full storage refuses; it must outlive this object within its client. */
  constructor(scope: string, storage: StorageLike, fallback: StorageLike) {
    this.#prefix = `${scope}:intent:`;
    this.#storage = storage;
    this.#fallback = fallback;
  }

  /** Every kept intent, oldest first. */
  all(): Intent[] {
    const found: Intent[] = [];
    for (const storage of [this.#storage, this.#fallback]) {
      for (let index = 0; index < storage.length; index++) {
        const name = storage.key(index);
        if (!name?.startsWith(this.#prefix)) continue;
        const intent = parse(storage.getItem(name));
        if (intent) found.push(intent);
      }
    }
    return found.sort((a, b) => a.created_at_ms - b.created_at_ms);
  }

  find(code: string, order?: string): Intent | undefined {
    const name = this.#prefix + identity(code, order);
    return parse(this.#storage.getItem(name)) ?? parse(this.#fallback.getItem(name));
  }

  /** The kept intent for this code, or a new one, kept before this returns. */
  async keep(command: { code: string; currency?: string | undefined; order?: string | undefined }): Promise<Intent> {
    const findOrMake = (): Intent => {
      const kept = this.find(command.code, command.order);
      if (kept) return kept;
      const intent: Intent = {
        key: randomKey(),
        code: command.code,
        created_at_ms: Date.now(),
        ...(command.currency === undefined ? {} : { currency: command.currency }),
        ...(command.order === undefined ? {} : { order: command.order }),
      };
      this.#write(intent);
      return intent;
    };
    // Two tabs that start at the same moment must end up with one key.
    const locks = (globalThis as { navigator?: { locks?: LockManager } }).navigator?.locks;
    return locks ? locks.request(this.#prefix, findOrMake) : findOrMake();
  }

  /** Adds to an intent, unless another tab has already seen its final answer and dropped it. */
  update(intent: Intent, change: { redemption_id?: string | undefined; uncertain?: true }): Intent {
    const next = { ...intent, ...change };
    if (this.find(intent.code, intent.order)?.key === intent.key) this.#write(next);
    return next;
  }

  /** Forgets an intent that has its final answer; a newer one for the same code stays. */
  drop(intent: Intent): void {
    if (this.find(intent.code, intent.order)?.key !== intent.key) return;
    const name = this.#prefix + identity(intent.code, intent.order);
    this.#storage.removeItem(name);
    this.#fallback.removeItem(name);
  }

  #write(intent: Intent): void {
    const name = this.#prefix + identity(intent.code, intent.order);
    const text = JSON.stringify(intent);
    try {
      this.#storage.setItem(name, text);
    } catch {
      // Full: the intent then lives as long as the page. Not redeeming at all would be worse.
      this.#fallback.setItem(name, text);
    }
  }
}

function parse(text: string | null): Intent | undefined {
  if (!text) return undefined;
  try {
    const intent = JSON.parse(text) as Intent;
    return typeof intent.key === "string" && typeof intent.code === "string" ? intent : undefined;
  } catch {
    return undefined;
  }
}

/** A random UUID; `randomUUID` exists only in secure contexts, and a test page may not be one. */
function randomKey(): string {
  const { crypto } = globalThis;
  if (typeof crypto?.randomUUID === "function") return crypto.randomUUID();
  if (typeof crypto?.getRandomValues !== "function") {
    throw new CounterfoilError("invalid_argument", "No secure randomness here for an idempotency key.");
  }
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
