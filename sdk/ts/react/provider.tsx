// Where the hooks find their client.

import { type Client, CounterfoilError, LiveState } from "@counterfoil/sdk";
import { createContext, type ReactNode, useContext, useEffect, useMemo, useState } from "react";

interface Held {
  client: Client | null;
  live: LiveState | null;
}

const Context = createContext<Held | undefined>(undefined);

export interface CounterfoilProviderProps {
  /** A client, a promise of one (a token fetched first), or null while there is none (on a server, signed out). */
  client: Client | Promise<Client> | null;
  children?: ReactNode;
}

/** Gives its client to the hooks below it. A promise that fails goes to the nearest error boundary. */
export function CounterfoilProvider({ client: given, children }: CounterfoilProviderProps): ReactNode {
  const [settled, setSettled] = useState<{ from: unknown; client?: Client; error?: Error }>();

  useEffect(() => {
    if (!isPromise(given)) return;
    let current = true;
    given.then(
      (client) => current && setSettled({ from: given, client }),
      (thrown) => current && setSettled({ from: given, error: CounterfoilError.from(thrown) }),
    );
    return () => {
      current = false;
    };
  }, [given]);

  const ofThis = settled?.from === given ? settled : undefined;
  if (ofThis?.error) throw ofThis.error;
  const client = isPromise(given) ? (ofThis?.client ?? null) : given;
  const held = useMemo(() => ({ client, live: client && new LiveState(client) }), [client]);
  return <Context.Provider value={held}>{children}</Context.Provider>;
}

/** The client; null while the provider has none. */
export function useClient(): Client | null {
  return useHeld("useClient").client;
}

export function useHeld(hook: string): Held {
  const held = useContext(Context);
  if (!held) {
    throw new Error(
      `${hook}() found no provider: wrap the part of your app that uses it in <CounterfoilProvider client={createClient({ … })}>.`,
    );
  }
  return held;
}

function isPromise(given: CounterfoilProviderProps["client"]): given is Promise<Client> {
  return typeof (given as Promise<Client> | null)?.then === "function";
}
