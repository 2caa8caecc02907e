// One reward, as it stands and with what can be done about it.

import type { CounterfoilError, Reward, RewardAction, RewardType } from "@counterfoil/sdk";
import { type ReactNode, useState } from "react";

import { Ask } from "./ask";
import { Countdown, TimeBar, TimeTold } from "./clock";
import { moment, timeOfDay, timeToday } from "./format";
import { Busy, Icon, type IconName } from "./icons";
import { explainError } from "./refusals";
import { boost, effectOf, isBooster, worthLine } from "./reward";

const ICONS: Record<RewardType, IconName> = {
  xp: "spark",
  tokens: "coin",
  points: "coin",
  credit: "coin",
  feature: "spark",
  discount: "percent",
  bonus: "gift",
  external: "gift",
  mission_booster: "bolt",
  token_booster: "bolt",
  level_booster: "bolt",
  mini_game: "game",
  manual: "gift",
};

export interface RewardCardProps {
  reward: Reward;
  /** The move that is being asked for. */
  pending: RewardAction | undefined;
  /** Why the last one was not made. */
  error: CounterfoilError | undefined;
  /** A stronger one of its kind is running. */
  outdone: boolean;
  onMove(action: RewardAction): unknown;
}

export function RewardCard({ reward, pending, error, outdone, onMove }: RewardCardProps) {
  const { id, name, quantity, state, type } = reward;
  const titleId = `title-${id}`;
  return (
    <li className="reward" id={`reward-${id}`} data-state={state} data-reward={reward.reward_id} data-running={isRunning(reward) || undefined}>
      <span className="reward-emblem" aria-hidden="true">
        <Icon name={ICONS[type]} size={24} />
      </span>
      <div className="reward-body">
        <h4 id={titleId} tabIndex={-1}>
          {quantity > 1 ? `${quantity} × ${name}` : name}
        </h4>
        <Standing reward={reward} outdone={outdone} />
        {error && (
          <p className="reward-error" role="alert">
            <Icon name="alert" size={16} /> <span>{explainError(error).text}</span>
          </p>
        )}
      </div>
      <Actions reward={reward} pending={pending} describedBy={titleId} onMove={onMove} />
    </li>
  );
}

/** Where it stands, in a sentence or two. */
function Standing({ reward, outdone }: { reward: Reward; outdone: boolean }): ReactNode {
  const { name, type, state, value, valid_until, runs_until, next_attempt_at, attempts, attempts_max, last_error, moves } = reward;
  switch (state) {
    case "unclaimed":
      return (
        <>
          <p>{worthLine(reward)}</p>
          {valid_until && <Deadline before="Claim within" until={valid_until} />}
        </>
      );
    case "pending_activation":
      return (
        <>
          <p>{waiting(reward)}</p>
          {valid_until && <Deadline before={type === "discount" ? "Valid for" : isBooster(type) ? "Start within" : "Use within"} until={valid_until} />}
        </>
      );
    case "in_progress":
      if (type === "mini_game") {
        return (
          <>
            <p>Waiting for you to play it.</p>
            {valid_until && <Deadline before="Play within" until={valid_until} />}
          </>
        );
      }
      return (
        <p className="reward-way">
          <Busy>{attempts > 1 ? `Being delivered, try ${attempts} of ${attempts_max}.` : "Being delivered. Nothing to do for you."}</Busy>
        </p>
      );
    case "failed":
      return (
        <>
          <p>
            {next_attempt_at
              ? `The shop’s partner has not delivered it yet. We try again at ${timeToday(next_attempt_at)}; nothing to do for you.`
              : "The shop’s partner could not deliver it. We have been told and will see to it; nothing to do for you."}
          </p>
          <details className="reward-details">
            <summary>Details</summary>
            <dl>
              <Fact name="Tries">
                {attempts} of {attempts_max}
              </Fact>
              {next_attempt_at && <Fact name="Next try">{moment(next_attempt_at)}</Fact>}
              {last_error && <Fact name="Last answer">{last_error}</Fact>}
              {moves[0] && <Fact name="Yours since">{moment(moves[0].at)}</Fact>}
            </dl>
          </details>
        </>
      );
    case "granted":
      if (!runs_until) break;
      return (
        <>
          <p>
            {"multiplier_permille" in value ? boost(type, value.multiplier_permille) : worthLine(reward)}
            {outdone ? " – a stronger one is running, and that one counts" : ""}
          </p>
          <p className="reward-left">
            <Countdown until={runs_until} over="Ending…" />
            <span>until {timeToday(runs_until)}</span>
          </p>
          <TimeBar from={moves.at(-1)?.at ?? runs_until} until={runs_until} />
          <TimeTold name={name} until={runs_until} />
        </>
      );
    case "complete":
    case "expired":
    case "declined":
    case "deleted":
    case "bounced":
      break;
  }
  return <p>{ENDS[state] ?? ""}</p>;
}

/** How a reward's life ended, or that it needs nothing more. */
const ENDS: Partial<Record<Reward["state"], string>> = {
  granted: "Received",
  complete: "Used up",
  expired: "Expired",
  declined: "Declined",
  deleted: "Taken back",
  bounced: "Not played in time",
};

export const endOf = ({ state }: Reward): string => ENDS[state] ?? "";

export const isRunning = ({ state, runs_until }: Reward): boolean => state === "granted" && runs_until !== undefined;

function waiting(reward: Reward): string {
  switch (reward.type) {
    case "discount":
      return `${worthLine(reward)}. Taken off at the checkout.`;
    case "manual":
      return "The shop hands it out; nothing to do for you.";
    default:
      return worthLine(reward);
  }
}

function Deadline({ before, until }: { before: string; until: string }) {
  return (
    <p className="reward-deadline">
      <Icon name="clock" size={16} />
      <span>
        <Countdown before={before} until={until} over="Its time is over" />
      </span>
    </p>
  );
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

interface ActionsProps {
  reward: Reward;
  pending: RewardAction | undefined;
  describedBy: string;
  onMove(action: RewardAction): unknown;
}

function Actions({ reward, pending, describedBy, onMove }: ActionsProps) {
  const [asked, setAsked] = useState<"activate" | "decline">();
  const { state, type, name } = reward;
  const takes = state === "unclaimed";
  const starts = state === "pending_activation" && type !== "discount" && type !== "manual";
  if (!takes && state !== "pending_activation") return null;
  // Not `disabled` while asking: that would take the focus away.
  const unlessPending = (act: () => void) => () => {
    if (!pending) act();
  };
  return (
    <div className="reward-actions">
      {takes && (
        <button
          type="button"
          className="button button-gold"
          aria-describedby={describedBy}
          aria-disabled={pending !== undefined}
          onClick={unlessPending(() => onMove("claim"))}
        >
          {pending === "claim" ? <Busy>Claiming…</Busy> : "Claim"}
        </button>
      )}
      {starts && (
        <button
          type="button"
          className="button button-main"
          aria-describedby={describedBy}
          aria-disabled={pending !== undefined}
          onClick={unlessPending(() => (isBooster(type) ? setAsked("activate") : onMove("activate")))}
        >
          {pending === "activate" ? <Busy>Starting…</Busy> : START[type] ?? "Use now"}
        </button>
      )}
      <button
        type="button"
        className="button button-bare"
        aria-describedby={describedBy}
        aria-disabled={pending !== undefined}
        onClick={unlessPending(() => setAsked("decline"))}
      >
        {pending === "decline" ? <Busy>Declining…</Busy> : "No thanks"}
      </button>
      {asked === "activate" && (
        <Ask
          title={`Start ${quoted(name)} now?`}
          yes="Start now"
          no="Not yet"
          onYes={() => onMove("activate")}
          onClose={() => setAsked(undefined)}
        >
          <p>{effectOf(reward)}</p>
        </Ask>
      )}
      {asked === "decline" && (
        <Ask
          title={`Decline ${quoted(name)}?`}
          yes="Decline it"
          no="Keep it"
          harmful
          onYes={() => onMove("decline")}
          onClose={() => setAsked(undefined)}
        >
          <p>It leaves your rewards for good, and the code that gave it stays used.</p>
        </Ask>
      )}
    </div>
  );
}

const START: Partial<Record<RewardType, string>> = {
  token_booster: "Start…",
  level_booster: "Start…",
  mission_booster: "Start…",
  mini_game: "Start the game",
};

const quoted = (name: string): string => `“${name}”`;

/** A reward that needs nothing more, in one line. */
export function FinishedReward({ reward }: { reward: Reward }) {
  const { name, quantity, moves, state } = reward;
  const at = moves.at(-1)?.at;
  return (
    <li className="finished" id={`reward-${reward.id}`} data-state={state}>
      <span className="finished-name">{quantity > 1 ? `${quantity} × ${name}` : name}</span>
      <span className="finished-end">{endOf(reward)}</span>
      {at && (
        <time dateTime={at} title={timeOfDay(new Date(at))}>
          {moment(at)}
        </time>
      )}
    </li>
  );
}
