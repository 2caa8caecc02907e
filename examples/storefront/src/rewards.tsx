// The chest: what a member has been given and can claim, start or use, what runs, what is on its way, and what is over.

import type { Reward, RewardAction } from "@counterfoil/sdk";
import { useRewards } from "@counterfoil/sdk/react";
import { type ReactNode, type RefObject, useEffect, useRef, useState } from "react";

import { explainError } from "./refusals";
import { worthLine } from "./reward";
import { endOf, FinishedReward, isRunning, RewardCard } from "./reward-card";

type Group = "running" | "waiting" | "coming" | "finished";

const TITLES: Record<Exclude<Group, "finished">, string> = {
  running: "Running now",
  waiting: "For you",
  coming: "On its way",
};

const FINISHED_AT_FIRST = 8;

export function Rewards() {
  const { rewards, loading, error, refresh, pending, errors, hasMore, loadMore, ...moves } = useRewards();
  const chest = useRef<HTMLElement>(null);
  const [shown, setShown] = useState(FINISHED_AT_FIRST);
  const news = useNews(rewards);
  const follow = useFocusKept(chest, rewards);

  const groups = grouped(rewards, errors);
  const open = rewards.length - groups.finished.length;
  const move = (reward: Reward) => async (action: RewardAction) => {
    follow(reward);
    if (!(await moves[action](reward.id))) follow(undefined);
  };
  const olderHidden = groups.finished.length > shown || hasMore;

  return (
    <section className="card rewards" id="rewards" ref={chest} aria-labelledby="rewards-title" aria-busy={loading && rewards.length === 0}>
      <h2 id="rewards-title" tabIndex={-1}>
        Your rewards
      </h2>
      {(Object.keys(TITLES) as (keyof typeof TITLES)[]).map(
        (group) =>
          groups[group].length > 0 && (
            <section key={group} className="reward-group" aria-labelledby={`rewards-${group}`}>
              <h3 id={`rewards-${group}`}>{TITLES[group]}</h3>
              <ul>
                {groups[group].map((reward) => (
                  <RewardCard
                    key={reward.id}
                    reward={reward}
                    pending={pending[reward.id]}
                    error={errors[reward.id]}
                    outdone={isOutdone(reward, groups.running)}
                    onMove={move(reward)}
                  />
                ))}
              </ul>
            </section>
          ),
      )}
      {open === 0 && <Nothing loading={loading && rewards.length === 0} error={error ? explainError(error).text : undefined} onRetry={refresh} />}
      {groups.finished.length > 0 && (
        <details className="reward-past">
          <summary>
            Finished <span className="reward-count">{groups.finished.length}{hasMore ? "+" : ""}</span>
          </summary>
          <ul>
            {groups.finished.slice(0, shown).map((reward) => (
              <FinishedReward key={reward.id} reward={reward} />
            ))}
          </ul>
          {olderHidden && (
            <button
              type="button"
              className="button button-quiet"
              aria-disabled={loading}
              onClick={() => {
                setShown(shown + 2 * FINISHED_AT_FIRST);
                loadMore();
              }}
            >
              Show older ones
            </button>
          )}
        </details>
      )}
      <p className="hidden" role="status">
        {news}
      </p>
    </section>
  );
}

function Nothing({ loading, error, onRetry }: { loading: boolean; error: string | undefined; onRetry(): void }): ReactNode {
  if (error) {
    return (
      <div className="missing">
        <p>{error}</p>
        <button type="button" className="button button-quiet" onClick={onRetry}>
          Load again
        </button>
      </div>
    );
  }
  if (!loading) return <p className="empty">Nothing is waiting for you. Boosters, discounts and gifts from your codes appear here.</p>;
  return (
    <div className="bones" aria-hidden="true">
      <span />
    </div>
  );
}

/** By what the server says of each; the clock on the page decides nothing. */
function grouped(rewards: Reward[], errors: Record<string, unknown>): Record<Group, Reward[]> {
  const groups: Record<Group, Reward[]> = { running: [], waiting: [], coming: [], finished: [] };
  for (const reward of rewards) groups[groupOf(reward, reward.id in errors)].push(reward);
  groups.running.sort((a, b) => ((a.runs_until ?? "") < (b.runs_until ?? "") ? -1 : 1));
  return groups;
}

function groupOf(reward: Reward, failed: boolean): Group {
  switch (reward.state) {
    case "unclaimed":
    case "pending_activation":
      return "waiting";
    case "in_progress":
      return reward.type === "mini_game" ? "waiting" : "coming";
    case "failed":
      return "coming";
    case "granted":
      return isRunning(reward) ? "running" : "finished";
    case "complete":
    case "expired":
    case "declined":
    case "deleted":
    case "bounced":
      // Somebody has just tried to use it: it stays in sight, with the reason why not.
      return failed ? "waiting" : "finished";
  }
}

/** With several running the highest counts, not the product. */
function isOutdone({ id, type, value }: Reward, running: Reward[]): boolean {
  if (!("multiplier_permille" in value)) return false;
  const { multiplier_permille } = value;
  return running.some(
    (other) => other.id !== id && other.type === type && "multiplier_permille" in other.value && other.value.multiplier_permille > multiplier_permille,
  );
}

/** What has just changed, for a screen reader; nothing of what was there when the page opened. */
function useNews(rewards: Reward[]): string {
  const [held, setHeld] = useState<{ rewards: Reward[]; news: string }>({ rewards, news: "" });
  if (held.rewards === rewards) return held.news;
  const before = new Map(held.rewards.map(({ id, state }) => [id, state]));
  const told = rewards.flatMap((reward) => {
    const known = before.get(reward.id);
    const isNew = known === undefined && held.rewards.length > 0 && reward.state !== "granted";
    return isNew || (known !== undefined && known !== reward.state) ? [sentence(reward)] : [];
  });
  const next = { rewards, news: told.join(" ") || held.news };
  setHeld(next);
  return next.news;
}

function sentence(reward: Reward): string {
  const { name, state } = reward;
  switch (state) {
    case "unclaimed":
      return `${name} waits to be claimed.`;
    case "pending_activation":
      return `${name} is yours: ${worthLine(reward)}.`;
    case "in_progress":
      return `${name} is being delivered.`;
    case "failed":
      return `${name} is late.`;
    default:
      return isRunning(reward) ? `${name} is running.` : `${name}: ${endOf(reward).toLowerCase()}.`;
  }
}

/**
 * A reward that moves to another group takes the button that was pressed with it; the focus then goes to its name, where
 * it stands now, or to the chest when it is folded away.
 */
function useFocusKept(chest: RefObject<HTMLElement | null>, rewards: Reward[]): (acted: Reward | undefined) => void {
  const followed = useRef<Reward>(undefined);
  useEffect(() => {
    const before = followed.current;
    const now = rewards.find(({ id }) => id === before?.id);
    if (!before || !now || now.state === before.state) return;
    // Once: what moves it later is not this person's doing.
    followed.current = undefined;
    if (document.activeElement !== document.body) return;
    const title = document.getElementById(`title-${now.id}`) ?? chest.current?.querySelector<HTMLElement>("#rewards-title");
    title?.focus();
  }, [chest, rewards]);
  return (acted) => void (followed.current = acted);
}
