// Intents: what was asked for and has no final answer yet, kept where a reload finds it.

import { CounterfoilError } from "./errors.js";

/** What is kept of everything that is to be done exactly once. */
export interface Kept {
  /** The idempotency key: made once, the same on every try. */
  readonly key: string;
  readonly created_at_ms: number;
  /** A try ended without an answer, so that the server may have acted on it. */
  readonly uncertain?: boolean | undefined;
}

/**
 * What is kept of a redemption: with a `code` to redeem it, which is in it because only the code can be sent again, or
 * with a `reward_id` to buy that reward with points.
 */
export interface Intent extends Kept {
  readonly code?: string | undefined;
  readonly currency?: string | undefined;
  readonly order?: string | undefined;
  readonly reward_id?: string | undefined;
  readonly quantity?: number | undefined;
  /** Known once the server has accepted the request without deciding it. */
  readonly redemption_id?: string | undefined;
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
 * What tells one intent from another. Two texts that the server reads alike have one identity: this is the reading
 * table's effect on what people type, without the checks; those are not needed to find an intent again.
 */
export function identity({ code, order, reward_id, quantity }: Omit<Intent, keyof Kept>): string {
  if (code === undefined) return JSON.stringify([reward_id, quantity, 0]);
  const symbols = code
    .normalize("NFKC")
    .replace(/[\s\p{Pd}\u2212\u00ad\u200b-\u200d\u2060\ufeff._]/gu, "")
    .replace(/[a-z]/g, (letter) => letter.toUpperCase())
    .replace(/O/g, "0")
    .replace(/[IL]/g, "1");
  return JSON.stringify(order === undefined ? [symbols] : [symbols, order]);
}

/** The kept intents of one member. One storage entry each: two tabs never overwrite a list. */
export class IntentStore<T extends Kept> {
  readonly #prefix: string;
  readonly #identity: (intent: Omit<T, keyof Kept>) => string;
  readonly #storages: [kept: StorageLike, fallback: StorageLike];

  /**
   * @param prefix whose intents, and of which kind
   * @param identity two commands with the same one are one intent
   * @param storage where they are kept
   * @param fallback takes what a full storage refuses; it must outlive this object within its client
   */
  constructor(prefix: string, identity: (intent: Omit<T, keyof Kept>) => string, storage: StorageLike, fallback: StorageLike) {
    this.#prefix = `${prefix}:`;
    this.#identity = identity;
    this.#storages = [storage, fallback];
  }

  /** Every kept intent, oldest first. */
  all(): T[] {
    const found: T[] = [];
    for (const storage of this.#storages) {
      for (let index = 0; index < storage.length; index++) {
        const name = storage.key(index);
        if (!name?.startsWith(this.#prefix)) continue;
        const intent = parse<T>(storage.getItem(name));
        if (intent) found.push(intent);
      }
    }
    return found.sort((a, b) => a.created_at_ms - b.created_at_ms);
  }

  /** The kept intent for this command, or a new one, kept before this returns. */
  async keep(command: Omit<T, keyof Kept>): Promise<T> {
    const findOrMake = (): T => {
      const kept = this.#find(command);
      if (kept) return kept;
      const intent = { ...command, key: randomKey(), created_at_ms: Date.now() } as T;
      this.#write(intent);
      return intent;
    };
    // Two tabs that start at the same moment must end up with one key.
    const locks = (globalThis as { navigator?: { locks?: LockManager } }).navigator?.locks;
    return locks ? locks.request(this.#prefix, findOrMake) : findOrMake();
  }

  /** Adds to an intent, unless another tab has already seen its final answer and dropped it. */
  update(intent: T, change: Partial<T>): T {
    const next = { ...intent, ...change };
    if (this.#find(intent)?.key === intent.key) this.#write(next);
    return next;
  }

  /** Forgets an intent that has its final answer; a newer one for the same command stays. */
  drop(intent: T): void {
    if (this.#find(intent)?.key !== intent.key) return;
    for (const storage of this.#storages) storage.removeItem(this.#name(intent));
  }

  #name(intent: Omit<T, keyof Kept>): string {
    return this.#prefix + this.#identity(intent);
  }

  #find(command: Omit<T, keyof Kept>): T | undefined {
    const [kept, fallback] = this.#storages;
    const name = this.#name(command);
    return parse<T>(kept.getItem(name)) ?? parse<T>(fallback.getItem(name));
  }

  #write(intent: T): void {
    const [kept, fallback] = this.#storages;
    const entry = [this.#name(intent), JSON.stringify(intent)] as const;
    try {
      kept.setItem(...entry);
    } catch {
      // Full: the intent then lives as long as the page. Not acting at all would be worse.
      fallback.setItem(...entry);
    }
  }
}

function parse<T extends Kept>(text: string | null): T | undefined {
  try {
    const intent = JSON.parse(text ?? "0") as T;
    return typeof intent.key === "string" ? intent : undefined;
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
