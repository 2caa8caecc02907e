// A customer: the balance, what it pays for, and how far the next reward is.

import type { UseTill } from "@counterfoil/sdk/till/react";
import { useEffect, useRef } from "react";

import { explain } from "./explain";
import { count, points, times } from "./format";
import { Heading, Note, useKeys } from "./frame";
import { Icon } from "./icons";
import { LastSale } from "./last-sale";
import { showPhone } from "./phone";

/** The balance is the server's; other tills and the web shop change it meanwhile. */
const REFRESH_EVERY_MS = 15_000;

export function MemberScreen({ counter, reachable }: { counter: UseTill; reachable: boolean }) {
  const { member, phone, error, busy, choice, refresh } = counter;
  const page = useRef<HTMLDivElement>(null);

  useEffect(() => {
    if (!reachable) return;
    const look = () => document.visibilityState === "visible" && void refresh();
    const timer = setInterval(look, REFRESH_EVERY_MS);
    document.addEventListener("visibilitychange", look);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", look);
    };
  }, [refresh, reachable]);

  const quoting = busy === "quoting";
  const blocked = quoting || !reachable || busy !== null;
  const offer = (reward: { reward_id: string; name: string }, again = false) => {
    if (!blocked) void counter.choose(reward, { again });
  };
  useKeys(({ key }) => {
    if (key === "Escape") counter.finish();
    const reward = /^[1-9]$/.test(key) ? member?.rewards[Number(key) - 1] : undefined;
    if (reward) offer(reward);
  });

  if (!member) return null;
  const { rewards, next_reward: next } = member;
  const name = member.name ?? "Customer";
  const explanation = error && explain(error);
  /** What was chosen, to be offered once more. */
  const offerAgain = (again: boolean) => choice && offer({ reward_id: choice.reward_id, name: choice.name ?? "" }, again);
  return (
    <div className="member" ref={page} aria-busy={quoting}>
      <div className="member-head">
        <button type="button" className="button button-quiet" onClick={counter.finish}>
          <Icon name="back" size={22} />
          Other customer
        </button>
        {phone && <p className="member-phone">{showPhone(phone)}</p>}
      </div>
      <section className="balance" aria-label="Balance">
        <Heading>{name}</Heading>
        <p className="balance-points" aria-live="polite">
          <span className="balance-number">{count(member.points)}</span> {member.points === 1 ? "point" : "points"}
        </p>
      </section>
      {explanation && (
        <Note title={explanation.title}>
          <p>{explanation.text}</p>
          {explanation.help === "again" && (
            <button type="button" className="button button-accept" onClick={() => offerAgain(true)}>
              Give one more
            </button>
          )}
          {explanation.help === "anew" && (
            <button type="button" className="button button-accept" onClick={() => offerAgain(false)}>
              Offer it again
            </button>
          )}
        </Note>
      )}
      <section aria-labelledby="rewards-title">
        <h2 id="rewards-title">{rewards.length > 0 ? "Can have now" : "Nothing to give yet"}</h2>
        {rewards.length > 0 ? (
          <ul className="rewards">
            {rewards.map(({ reward_id, name, points_cost }, index) => (
              <li key={reward_id}>
                <button
                  type="button"
                  className="reward"
                  data-reward={reward_id}
                  aria-disabled={blocked}
                  onClick={() => offer({ reward_id, name })}
                >
                  <span className="reward-name">{name}</span>
                  <span className="reward-cost">{points(points_cost)}</span>
                  <span className="reward-after">leaves {count(member.points - points_cost)}</span>
                  {index < 9 && (
                    <kbd className="reward-key" aria-hidden="true">
                      {index + 1}
                    </kbd>
                  )}
                </button>
              </li>
            ))}
          </ul>
        ) : (
          <p className="quiet">The balance does not cover a reward.</p>
        )}
        {quoting && (
          <p className="hidden" role="status">
            Preparing {times(choice?.quantity ?? 1, choice?.name ?? "the offer")}
          </p>
        )}
      </section>
      {next && (
        <section className="next" aria-labelledby="next-title">
          <div className="next-words">
            <h2 id="next-title">Next: {next.name}</h2>
            <p>
              <strong>{points(next.points_needed)} more</strong> of {count(next.points_cost)}
            </p>
          </div>
          <progress className="next-bar" max={next.points_cost} value={next.points_cost - next.points_needed} aria-label={`On the way to ${next.name}`} />
          <button type="button" className="button button-quiet" aria-disabled={blocked} onClick={() => offer(next)}>
            <Icon name="user" size={22} />
            Ask a manager
          </button>
        </section>
      )}
      {/* Another customer's is nobody's business here. */}
      {counter.sale?.member.member_id === member.member_id && <LastSale counter={counter} reachable={reachable} />}
    </div>
  );
}
