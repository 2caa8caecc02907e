// One clock for every countdown on the page: the server's time, one timer, at whole seconds, at rest while nobody looks.

import type { Client } from "@counterfoil/sdk";
import { useClient } from "@counterfoil/sdk/react";
import { useEffect, useRef, useState, useSyncExternalStore } from "react";

import { remaining, spokenTime } from "./format";

const SECOND_MS = 1000;

class Clock {
  readonly #client: Client;
  readonly #listeners = new Set<() => void>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #second: number;

  constructor(client: Client) {
    this.#client = client;
    this.#second = this.#now();
  }

  /** The server's time as last ticked, in whole seconds as milliseconds. */
  readonly get = (): number => this.#second;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    if (this.#listeners.size === 1) {
      document.addEventListener("visibilitychange", this.#tick);
      this.#tick();
    }
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size > 0) return;
      document.removeEventListener("visibilitychange", this.#tick);
      clearTimeout(this.#timer);
    };
  };

  readonly #tick = () => {
    clearTimeout(this.#timer);
    if (document.hidden) return;
    const second = this.#now();
    if (second !== this.#second) {
      this.#second = second;
      for (const listener of [...this.#listeners]) listener();
    }
    // The next whole second of the server, so that all countdowns turn together.
    this.#timer = setTimeout(this.#tick, SECOND_MS - (this.#client.now() % SECOND_MS));
  };

  #now(): number {
    return Math.floor(this.#client.now() / SECOND_MS) * SECOND_MS;
  }
}

const clocks = new WeakMap<Client, Clock>();
const noClock = { subscribe: () => () => {}, get: () => 0 };

/** The server's time, in whole seconds as milliseconds; whoever uses it is rendered at each. */
export function useNow(): number {
  const client = useClient();
  let clock: Clock | typeof noClock = noClock;
  if (client) {
    clock = clocks.get(client) ?? new Clock(client);
    clocks.set(client, clock as Clock);
  }
  return useSyncExternalStore(clock.subscribe, clock.get);
}

/** Milliseconds until an instant, by the server's time; never negative. */
function useRemaining(until: string): number {
  return Math.max(0, Date.parse(until) - useNow());
}

const calm = matchMedia("(prefers-reduced-motion: reduce)");
const onCalm = (listener: () => void) => {
  calm.addEventListener("change", listener);
  return () => calm.removeEventListener("change", listener);
};

interface CountdownProps {
  /** RFC 3339. */
  until: string;
  /** Words before the time, which go when it is over. */
  before?: string;
  /** Said when it is over and the server has not said what follows. */
  over: string;
}

/** Time left, ticking; by the minute for those who want less motion. A screen reader is told when it asks. */
export function Countdown({ until, before, over }: CountdownProps) {
  const ms = useRemaining(until);
  const coarse = useSyncExternalStore(onCalm, () => calm.matches);
  return (
    <>
      {ms > 0 && before ? `${before} ` : null}
      <span className="countdown" role="timer" aria-label={ms > 0 ? spokenTime(ms) : over}>
        {ms > 0 ? remaining(ms, coarse) : over}
      </span>
    </>
  );
}

/** How much of a span is left. */
export function TimeBar({ from, until }: { from: string; until: string }) {
  const ms = useRemaining(until);
  const whole = Math.max(1, Date.parse(until) - Date.parse(from));
  return (
    <div className="time-bar" aria-hidden="true">
      <span style={{ width: `${Math.min(100, (ms / whole) * 100)}%` }} />
    </div>
  );
}

/** Minutes at which a screen reader is told that a time is coming to its end. */
const TOLD_AT_MINUTES = [10, 1];

/** Says how long is left, at few moments and only when one of them is passed. */
export function TimeTold({ name, until }: { name: string; until: string }) {
  const minutes = useRemaining(until) / 60_000;
  const passed = TOLD_AT_MINUTES.filter((at) => minutes <= at).at(-1);
  const first = useRef(passed);
  const [told, setTold] = useState("");
  useEffect(() => {
    if (passed === undefined || passed === first.current) return;
    first.current = passed;
    setTold(`${name}: ${spokenTime(passed * 60_000)} left.`);
  }, [name, passed]);
  return (
    <p className="hidden" role="status">
      {told}
    </p>
  );
}
