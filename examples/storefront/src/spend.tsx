// What points buy: the catalogue, with what is missing, and buying by the handful.

import type { Redemption } from "@counterfoil/sdk";
import type { CatalogueItem } from "@counterfoil/sdk/points";
import { useCatalogue } from "@counterfoil/sdk/points/react";
import { useWallet } from "@counterfoil/sdk/react";
import { useState } from "react";

import { Ask } from "./ask";
import { count } from "./format";
import { Busy, Icon } from "./icons";
import { explainError } from "./refusals";

const QUANTITY_MAX = 100;

const pointsText = (amount: number): string => `${count(amount)} ${amount === 1 ? "point" : "points"}`;

export function Spend() {
  const { items, error, refresh, buying, refused, buy } = useCatalogue();
  const [asking, setAsking] = useState<CatalogueItem | null>(null);
  const [bought, setBought] = useState<{ name: string; redemption: Redemption } | null>(null);
  const forSale = items.filter(({ eligible }) => eligible).sort((one, other) => one.points_cost - other.points_cost);
  if (forSale.length === 0 && !error) return null;

  const purchase = async ({ reward_id, name }: CatalogueItem, quantity: number) => {
    setBought(null);
    const redemption = await buy(reward_id, quantity);
    if (redemption) setBought({ name, redemption });
  };
  return (
    <section className="card spend" aria-labelledby="spend-title">
      <h2 id="spend-title">Spend points</h2>
      {error && forSale.length === 0 && (
        <div className="missing">
          <p>{explainError(error).text}</p>
          <button type="button" className="button button-quiet" onClick={refresh}>
            Load again
          </button>
        </div>
      )}
      <ul>
        {forSale.map((item) => {
          const { reward_id, name, points_cost, affordable, points_needed = 0 } = item;
          const why = refused[reward_id];
          return (
            <li key={reward_id} className="spend-item" data-catalogue={reward_id}>
              <p className="spend-name">{name}</p>
              <p className="spend-cost">{affordable ? pointsText(points_cost) : `${pointsText(points_cost)}, ${count(points_needed)} more to go`}</p>
              <button
                type="button"
                className="button button-quiet"
                aria-disabled={!affordable || buying[reward_id]}
                aria-label={`Get ${name} for ${pointsText(points_cost)}`}
                onClick={() => affordable && !buying[reward_id] && setAsking(item)}
              >
                {buying[reward_id] ? <Busy>Buying…</Busy> : "Get it"}
              </button>
              {why && (
                <p className="spend-why" role="alert">
                  {explainError(why).title}. {explainError(why).text}
                </p>
              )}
            </li>
          );
        })}
      </ul>
      <div role="status">{bought && <Bought {...bought} />}</div>
      {asking && <Purchase item={asking} onBuy={(quantity) => void purchase(asking, quantity)} onClose={() => setAsking(null)} />}
    </section>
  );
}

function Bought({ name, redemption }: { name: string; redemption: Redemption }) {
  const { quantity, points_spent = 0, ledger } = redemption;
  const codes = ledger.flatMap(({ promo_code }) => promo_code ?? []);
  return (
    <div className="spend-done">
      <p>
        <Icon name="check" size={18} /> {quantity > 1 ? `${quantity} × ${name}` : name} for {pointsText(points_spent)}.
      </p>
      {codes.length > 0 && (
        <ul aria-label="Your codes">
          {codes.map((code) => (
            <li key={code}>
              <code>{code}</code>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

interface PurchaseProps {
  item: CatalogueItem;
  onBuy(quantity: number): void;
  onClose(): void;
}

function Purchase({ item: { name, points_cost }, onBuy, onClose }: PurchaseProps) {
  const points = useWallet().wallet?.points ?? 0;
  const [quantity, setQuantity] = useState(1);
  const most = points_cost > 0 ? Math.max(1, Math.min(QUANTITY_MAX, Math.floor(points / points_cost))) : QUANTITY_MAX;
  return (
    <Ask title={`Get ${name}?`} yes={`Spend ${pointsText(points_cost * quantity)}`} no="Not now" onYes={() => onBuy(quantity)} onClose={onClose}>
      <p>
        You have {pointsText(points)}; {count(points - points_cost * quantity)} stay.
      </p>
      {most > 1 && (
        <div className="spend-quantity" role="group" aria-label="How many">
          <button type="button" className="button button-quiet" aria-label="One less" aria-disabled={quantity <= 1} onClick={() => setQuantity(Math.max(1, quantity - 1))}>
            −
          </button>
          <output aria-live="polite">{quantity}</output>
          <button type="button" className="button button-quiet" aria-label="One more" aria-disabled={quantity >= most} onClick={() => setQuantity(Math.min(most, quantity + 1))}>
            +
          </button>
        </div>
      )}
    </Ask>
  );
}
