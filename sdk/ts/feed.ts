// The live feed of one client: one connection for all subscribers, every event once and in order.
//
// A reconnecting-socket package (partysocket, 2.7 KB, maintained) was tried on paper and left out: it
// owns the decision this file must make itself, namely whether the next try is a socket, a long poll
// or a wait, with a fresh token and `since` each; its back-off has no jitter per try; and liveness,
// resume and fallback would all still be here.

import { CounterfoilError, guarded } from "./errors.js";
import type { Http } from "./http.js";
import type { StorageLike } from "./intents.js";
import { backoffMs, sleep } from "./timing.js";
import type { FeedEvent, FeedReset } from "./wire.js";

/** `connecting`: no events yet. `live`: by socket. `polling`: by long poll. `offline`: neither works now. */
export type FeedState = "connecting" | "live" | "polling" | "offline";

export interface SubscribeOptions {
  /** Deliver from the event after this one. Absent: from the last one this page saw, else from now. */
  since?: number | undefined;
  onState?: ((state: FeedState) => void) | undefined;
  /** Events asked for are no longer kept: this is the state as it is now, and events go on from here. */
  onReset?: ((reset: FeedReset) => void) | undefined;
}

/** The part of the WebSocket interface that is used; `ws` on Node fits too. */
export type WebSocketLike = new (url: string, protocols: string[]) => {
  readonly protocol: string;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  send(data: string): void;
  close(code?: number): void;
};

interface Subscriber {
  /** Seq of the last event delivered; undefined until the feed knows where "now" is. */
  last: number | undefined;
  listener(event: FeedEvent): void;
  onState(state: FeedState): void;
  onReset(reset: FeedReset): void;
}

/** How a connection ended: `proved`: the other side was heard from; `lasted`: for a while; `moved`: we left it. */
type SocketEnd = { proved: boolean; lasted: boolean; moved: boolean };

const PROTOCOL = "counterfoil.v1";
/** Close code of a server that no longer takes the token. */
const TOKEN_ENDED = 4401;
const OPEN_TIMEOUT_MS = 10_000;
/** Silence after which the other side is asked, and the time it has to answer. */
const PING_AFTER_MS = 25_000;
const PONG_WITHIN_MS = 10_000;
/** A connection that ends sooner does not reset the back-off, or a server that hangs up would be hammered. */
const LASTED_MS = 5_000;
const BACKOFF_BASE_MS = 500;
const BACKOFF_CAP_MS = 30_000;
/** Socket tries in a row that fail before the long poll takes over. */
const SOCKET_FAILURES_MAX = 3;
const SOCKET_AGAIN_BASE_MS = 60_000;
const SOCKET_AGAIN_CAP_MS = 600_000;
const POLL_WAIT_S = 25;

export class Feed {
  readonly #http: Http;
  readonly #socket: () => WebSocketLike | undefined;
  readonly #cursor: () => Promise<Cursor>;
  readonly #subscribers = new Set<Subscriber>();
  readonly #taps = new Set<(event: FeedEvent) => void>();
  #state: FeedState = "connecting";
  /** The highest seq seen. */
  #position: number | undefined;
  /** Aborted when the last subscriber has left. */
  #stop: AbortController | undefined;
  /** Where a gap was met and asked for again. */
  #gapAt: number | undefined;
  /** Ends the present connection, to begin again elsewhere in the feed. */
  #move: (() => void) | undefined;

  constructor(http: Http, socket: () => WebSocketLike | undefined, cursor: () => Promise<Cursor>) {
    this.#http = http;
    this.#socket = socket;
    this.#cursor = cursor;
  }

  subscribe(listener: (event: FeedEvent) => void, options: SubscribeOptions = {}): () => void {
    const subscriber: Subscriber = {
      last: options.since ?? this.#position,
      listener: guarded(listener),
      onState: guarded(options.onState ?? (() => {})),
      onReset: guarded(options.onReset ?? (() => {})),
    };
    this.#subscribers.add(subscriber);
    subscriber.onState(this.#state);
    if (!this.#stop) {
      const stop = (this.#stop = new AbortController());
      // Only an abort ends the loop by throwing.
      this.#run(stop.signal).catch(() => {});
    } else if (options.since !== undefined && options.since < (this.#position ?? 0)) {
      this.#move?.();
    }
    return () => {
      this.#subscribers.delete(subscriber);
      // Later in this turn, so that one page's subscriptions handing over to the next's keep the connection.
      queueMicrotask(() => {
        if (this.#subscribers.size > 0 || !this.#stop) return;
        this.#stop.abort();
        this.#stop = undefined;
        this.#state = "connecting";
      });
    };
  }

  /** Sees what arrives while others subscribe; opens no connection by itself. */
  tap(see: (event: FeedEvent) => void): () => void {
    this.#taps.add(see);
    return () => void this.#taps.delete(see);
  }

  async #run(signal: AbortSignal): Promise<void> {
    let failures = 0;
    let socketFailures = 0;
    let socketRounds = 0;
    let socketAgainAt = 0;
    this.#enter("connecting");
    for (;;) {
      signal.throwIfAborted();
      try {
        await this.#findPosition(signal);
        const socket = this.#socket();
        if (socket && Date.now() >= socketAgainAt) {
          const end = await this.#connect(socket, signal);
          if (end.proved) socketFailures = socketRounds = 0;
          if (end.lasted) failures = 0;
          if (end.moved) continue;
          socketFailures += end.proved ? 0 : 1;
          if (socketFailures < SOCKET_FAILURES_MAX) {
            this.#enter("connecting");
            await sleep(backoffMs(failures++, BACKOFF_BASE_MS, BACKOFF_CAP_MS), signal);
            continue;
          }
          const pauseMs = Math.min(SOCKET_AGAIN_CAP_MS, SOCKET_AGAIN_BASE_MS * 2 ** socketRounds++);
          socketAgainAt = Date.now() + pauseMs / 2 + Math.random() * (pauseMs / 2);
        }
        await this.#poll(signal);
        failures = 0;
      } catch (thrown) {
        if (signal.aborted) throw thrown;
        // Neither way works: the network is gone, and with it what was learnt about sockets.
        this.#enter("offline");
        socketAgainAt = socketRounds = 0;
        const askedMs = thrown instanceof CounterfoilError ? (thrown.retryAfterMs ?? 0) : 0;
        await sleep(askedMs + backoffMs(failures++, BACKOFF_BASE_MS, BACKOFF_CAP_MS), signal);
      }
    }
  }

  /** Settles where "now" is before the first connection: one lost before its first event resumes from there. */
  async #findPosition(signal: AbortSignal): Promise<void> {
    const lost = [...this.#subscribers].filter((subscriber) => subscriber.last === undefined);
    if (lost.length === 0) return;
    if (this.#position === undefined) {
      const stored = (await this.#cursor()).read();
      const now = stored ?? (await this.#ask({ wait: 0 }, signal)).since;
      this.#position ??= now;
    }
    for (const subscriber of lost) subscriber.last ??= this.#position;
  }

  /** From where a connection must begin, so that no subscriber misses anything. */
  #since(): number {
    let since = this.#position ?? Infinity;
    for (const { last } of this.#subscribers) since = Math.min(since, last ?? since);
    return Number.isFinite(since) ? since : 0;
  }

  async #connect(Socket: WebSocketLike, signal: AbortSignal): Promise<SocketEnd> {
    const token = await this.#http.token();
    signal.throwIfAborted();
    return new Promise((resolve) => {
      let position = this.#since();
      const address = this.#http.address("/v1/events", { since: position }).replace(/^http/, "ws");
      let provedAt: number | undefined;
      let opened = false;
      let silence: ReturnType<typeof setTimeout> | undefined;
      let socket: InstanceType<WebSocketLike>;
      try {
        socket = new Socket(address, [PROTOCOL, `bearer.${token}`]);
      } catch {
        return resolve({ proved: false, lasted: false, moved: false });
      }
      // Does not wait for the closing handshake: a half-open connection never completes one.
      const end = (moved: boolean) => {
        clearTimeout(silence);
        signal.removeEventListener("abort", onMove);
        globalThis.removeEventListener?.("online", ping);
        this.#move = undefined;
        socket.onopen = socket.onmessage = socket.onclose = null;
        // One that we leave while it connects is closed when it is open: before, a browser would complain of us.
        if (moved && !opened) socket.onopen = () => socket.close();
        else {
          try {
            socket.close();
          } catch {
            // Not open yet, in sockets that object to that.
          }
        }
        const proved = provedAt !== undefined;
        resolve({ proved, lasted: proved && Date.now() - (provedAt ?? 0) >= LASTED_MS, moved });
      };
      const onMove = () => end(true);
      const onLost = () => end(false);
      const onClose = ({ code }: { code: number }) => {
        if (code === TOKEN_ENDED) this.#http.refuse(token);
        onLost();
      };
      const within = (ms: number, then: () => void) => {
        clearTimeout(silence);
        silence = setTimeout(then, ms);
      };
      const ping = () => {
        try {
          socket.send("ping");
          within(PONG_WITHIN_MS, onLost);
        } catch {
          onLost();
        }
      };
      signal.addEventListener("abort", onMove);
      this.#move = onMove;
      socket.onerror = () => {}; // a close follows
      socket.onclose = onClose;
      socket.onopen = () => {
        opened = true;
        if (socket.protocol !== PROTOCOL) return onLost();
        globalThis.addEventListener?.("online", ping);
        // At once: only an answer proves the line; a proxy may accept the upgrade and pass nothing.
        ping();
      };
      socket.onmessage = ({ data }: { data: unknown }) => {
        provedAt ??= Date.now();
        within(PING_AFTER_MS, ping);
        this.#enter("live");
        if (data === "pong") return;
        const frame = parseFrame(data);
        if (!frame) return onLost();
        if ("reset" in frame) {
          position = frame.since;
          this.#reset(frame);
        } else if (frame.seq > position + 1 && this.#gapAt !== position) {
          // Something in between is missing: ask once more from there, then believe that there is nothing.
          this.#gapAt = position;
          end(true);
        } else if (frame.seq > position) {
          position = frame.seq;
          this.#deliver(frame);
        }
      };
      within(OPEN_TIMEOUT_MS, onLost);
    });
  }

  async #poll(signal: AbortSignal): Promise<void> {
    const left = new AbortController();
    const leave = () => left.abort();
    signal.addEventListener("abort", leave);
    this.#move = leave;
    try {
      // The first answer comes at once, so that "polling" is said only when it works.
      const wait = this.#state === "polling" ? POLL_WAIT_S : 0;
      const answer = await this.#ask({ wait, since: this.#since() }, left.signal);
      this.#enter("polling");
      if (answer.reset) return this.#reset(answer.reset);
      for (const event of answer.events) this.#deliver(event);
      this.#position = Math.max(this.#position ?? 0, answer.since);
    } catch (thrown) {
      if (left.signal.aborted && !signal.aborted) return;
      throw thrown;
    } finally {
      signal.removeEventListener("abort", leave);
      this.#move = undefined;
    }
  }

  async #ask(query: { wait: number; since?: number }, signal: AbortSignal) {
    const { body } = await this.#http.send<{ events: FeedEvent[]; next_since: number } | FeedReset>({
      method: "GET",
      path: "/v1/events",
      query,
      signal,
      timeoutMs: (query.wait + 10) * 1000,
    });
    return "reset" in body
      ? { events: [], since: body.since, reset: body }
      : { events: body.events, since: body.next_since, reset: undefined };
  }

  #deliver(event: FeedEvent): void {
    // The last subscriber has just left: whoever takes over in this turn begins where that one ended.
    if (this.#subscribers.size === 0) return this.#move?.();
    this.#position = Math.max(this.#position ?? 0, event.seq);
    this.#http.hear(Date.parse(event.at));
    for (const see of this.#taps) see(event);
    for (const subscriber of [...this.#subscribers]) {
      // One that left during this very delivery gets nothing more.
      if (!this.#subscribers.has(subscriber)) continue;
      if (subscriber.last !== undefined && event.seq <= subscriber.last) continue;
      subscriber.last = event.seq;
      subscriber.listener(event);
    }
    // After the delivery: a page that dies in it gets the event again.
    this.#remember();
  }

  #reset(reset: FeedReset): void {
    this.#position = reset.since;
    for (const subscriber of [...this.#subscribers]) {
      if (!this.#subscribers.has(subscriber) || subscriber.last === reset.since) continue;
      subscriber.last = reset.since;
      subscriber.onReset(reset);
    }
    this.#remember();
  }

  #remember(): void {
    const position = this.#position;
    if (position !== undefined) void this.#cursor().then((cursor) => cursor.write(position), () => {});
  }

  #enter(state: FeedState): void {
    // While the long poll carries the feed, a try at the socket is nobody's concern.
    if (this.#state === state || (this.#state === "polling" && state === "connecting")) return;
    this.#state = state;
    for (const subscriber of [...this.#subscribers]) subscriber.onState(state);
  }
}

/** Where this page stood in the feed; outlives a reload of it. */
export class Cursor {
  readonly #name: string;
  readonly #storage: StorageLike;

  constructor(scope: string, storage: StorageLike) {
    this.#name = `${scope}:since`;
    this.#storage = storage;
  }

  read(): number | undefined {
    const text = this.#storage.getItem(this.#name);
    const seq = Number(text);
    return text !== null && Number.isSafeInteger(seq) && seq >= 0 ? seq : undefined;
  }

  write(seq: number): void {
    try {
      this.#storage.setItem(this.#name, String(seq));
    } catch {
      // Full: a reload then begins from now.
    }
  }
}

function parseFrame(data: unknown): FeedEvent | FeedReset | undefined {
  try {
    const frame = JSON.parse(String(data)) as Partial<FeedEvent & FeedReset>;
    if (frame.reset === true && Number.isSafeInteger(frame.since)) return frame as FeedReset;
    if (Number.isSafeInteger(frame.seq) && typeof frame.type === "string") return frame as FeedEvent;
  } catch {
    // Not JSON.
  }
  return undefined;
}
