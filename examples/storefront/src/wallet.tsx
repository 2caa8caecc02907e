// What the member has, live.

import type { Wallet as Balances } from "@counterfoil/sdk";
import { useWallet } from "@counterfoil/sdk/react";
import { useState } from "react";

import { Countdown, useNow } from "./clock";
import { count, money, readable } from "./format";
import { Icon } from "./icons";
import type { Member } from "./members";
import { explainError } from "./refusals";
import { boost } from "./reward";

export function Wallet({ member }: { member: Member }) {
  const { wallet, loading, error, refresh } = useWallet();
  const change = useChange(wallet);
  return (
    <section className="card wallet" aria-labelledby="wallet-title" aria-busy={loading && !wallet}>
      <h2 id="wallet-title">{member.name}’s wallet</h2>
      {wallet ? (
        <Contents wallet={wallet} change={change} />
      ) : error ? (
        <div className="missing">
          <p>{explainError(error).text}</p>
          <button type="button" className="button button-quiet" onClick={refresh}>
            Load again
          </button>
        </div>
      ) : (
        <div className="bones" aria-hidden="true">
          <span />
          <span />
        </div>
      )}
      <p className="hidden" role="status">
        {change && `Your wallet has changed: ${change.texts.join(", ")}.`}
      </p>
    </section>
  );
}

function Contents({ wallet, change }: { wallet: Balances; change: Change | null }) {
  const credit = wallet.credit.filter(({ amount_minor }) => amount_minor !== 0);
  const counted = ([["Points", wallet.points], ["XP", wallet.xp], ["Tokens", wallet.tokens]] as const).filter(
    ([name, amount]) => amount !== 0 || name === "Points",
  );
  return (
    <>
      <div className="credit">
        <h3>Credit</h3>
        {credit.length === 0 && <p className="credit-amount credit-none">None yet</p>}
        {credit.map(({ currency, amount_minor }) => (
          <p key={currency} className="credit-amount" data-currency={currency}>
            {money(currency, amount_minor)}
            <Delta change={change} of={`credit ${currency}`} />
          </p>
        ))}
      </div>
      <dl className="counted">
        {counted.map(([name, amount]) => (
          <div key={name} data-asset={name.toLowerCase()}>
            <dt>{name}</dt>
            <dd>
              {count(amount)}
              <Delta change={change} of={name} />
            </dd>
          </div>
        ))}
      </dl>
      <Running boosters={wallet.boosters} />
      {wallet.features.length > 0 && (
        <div className="features">
          <h3>Unlocked</h3>
          <ul>
            {wallet.features.map((key) => (
              <li key={key} data-feature={key}>
                <Icon name="spark" size={16} /> {readable(key)}
              </li>
            ))}
          </ul>
        </div>
      )}
    </>
  );
}

/** The boosters that run; each is over at its instant, whether or not the shop can tell us so then. */
function Running({ boosters }: Pick<Balances, "boosters">) {
  const now = useNow();
  const running = boosters.filter(({ runs_until }) => Date.parse(runs_until) > now);
  if (running.length === 0) return null;
  return (
    <div className="boosters">
      <h3>Running</h3>
      <ul>
        {running.map(({ id, type, multiplier_permille, runs_until }) => (
          <li key={id} data-booster={type}>
            <Icon name="bolt" size={16} />
            <span>{boost(type, multiplier_permille)}</span> <Countdown until={runs_until} over="Ending…" />
          </li>
        ))}
      </ul>
    </div>
  );
}

/** What has just been added, for a few seconds; the animation ends it. */
function Delta({ change, of }: { change: Change | null; of: string }) {
  const text = change?.byAsset.get(of);
  if (!text) return null;
  return (
    <span key={change?.number} className="delta" aria-hidden="true">
      {text}
    </span>
  );
}

interface Change {
  number: number;
  byAsset: Map<string, string>;
  texts: string[];
}

/** How the wallet differs from the one shown before it; null at first. */
function useChange(wallet: Balances | null): Change | null {
  const [held, setHeld] = useState<{ wallet: Balances | null; change: Change | null }>({ wallet, change: null });
  if (held.wallet === wallet) return held.change;
  const change = held.wallet && wallet ? difference(held.wallet, wallet, (held.change?.number ?? 0) + 1) : null;
  // The same balances read again change nothing, and end nothing that is being shown.
  const next = { wallet, change: change ?? held.change };
  setHeld(next);
  return next.change;
}

function difference(before: Balances, after: Balances, number: number): Change | null {
  const byAsset = new Map<string, string>();
  const texts: string[] = [];
  const add = (asset: string, amount: number, text: string, name: string) => {
    if (amount === 0) return;
    byAsset.set(asset, `${amount > 0 ? "+" : "−"}${text}`);
    texts.push(`${amount > 0 ? "plus" : "minus"} ${text} ${name}`);
  };
  const had = new Map(before.credit.map(({ currency, amount_minor }) => [currency, amount_minor]));
  for (const { currency, amount_minor } of after.credit) {
    const amount = amount_minor - (had.get(currency) ?? 0);
    add(`credit ${currency}`, amount, money(currency, Math.abs(amount)), "credit");
  }
  for (const [name, amount] of [
    ["Points", after.points - before.points],
    ["XP", after.xp - before.xp],
    ["Tokens", after.tokens - before.tokens],
  ] as const) {
    add(name, amount, count(Math.abs(amount)), name);
  }
  for (const key of after.features) if (!before.features.includes(key)) texts.push(`${readable(key)} unlocked`);
  return texts.length > 0 ? { number, byAsset, texts } : null;
}
