// A receipt, on the page and on paper: what the ledger says, with the numbers by which it is found again.

import type { Sale } from "@counterfoil/sdk/till";

import { count, moment, times } from "./format";
import { nameOf } from "./people";
import { maskPhone } from "./phone";

export function Receipt({ sale, phone }: { sale: Sale; phone: string | null }) {
  const { redemption, member } = sale;
  const { goodwill_points: goodwill, points_spent: spent = sale.points_cost, by, reason } = redemption;
  const codes = redemption.ledger.filter(({ promo_code }) => promo_code);
  const numbers = [...new Set(redemption.ledger.map(({ number }) => number))];
  return (
    <section className="receipt" aria-label="Receipt" data-reversed={sale.reversed}>
      <p className="receipt-shop">Northlight</p>
      <p className="receipt-time">{moment(redemption.created_at)}</p>
      {sale.reversed && <p className="receipt-stamp">Taken back</p>}
      <dl className="receipt-rows">
        <div className="receipt-what">
          <dt>{times(sale.quantity, sale.reward_name)}</dt>
          <dd>{count(sale.points_cost)}</dd>
        </div>
        {goodwill !== undefined && goodwill > 0 && (
          <div>
            <dt>Goodwill{reason ? `: ${reason}` : ""}</dt>
            <dd>−{count(goodwill)}</dd>
          </div>
        )}
        <div className="receipt-sum">
          <dt>Points taken</dt>
          <dd>{count(sale.reversed ? 0 : spent)}</dd>
        </div>
        {sale.points_after !== undefined && (
          <div>
            <dt>Balance</dt>
            <dd>{count(sale.points_after)}</dd>
          </div>
        )}
      </dl>
      {codes.length > 0 && (
        <ul className="receipt-codes" aria-label={codes.length === 1 ? "Your code" : "Your codes"}>
          {codes.map(({ ledger_id, promo_code }) => (
            <li key={ledger_id}>{promo_code}</li>
          ))}
        </ul>
      )}
      <dl className="receipt-small">
        {member.name && (
          <div>
            <dt>Customer</dt>
            <dd>{member.name}</dd>
          </div>
        )}
        {phone && (
          <div>
            <dt>Phone</dt>
            <dd>{maskPhone(phone)}</dd>
          </div>
        )}
        {by && (
          <div>
            <dt>Served by</dt>
            <dd>{nameOf(by)}</dd>
          </div>
        )}
        <div>
          <dt>{numbers.length === 1 ? "Ledger no." : "Ledger nos."}</dt>
          <dd className="receipt-number">{numbers.join(", ")}</dd>
        </div>
      </dl>
    </section>
  );
}
