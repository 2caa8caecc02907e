// The whole way of a code: typed, checked, shown for what it is worth, redeemed, and followed until it is given.

import { useCodeInput, useRedemption, type UseRedemption } from "@counterfoil/sdk/react";
import { type FormEvent, type RefObject, useEffect, useRef } from "react";

import { CodeField } from "./code-field";
import { Busy, Icon } from "./icons";
import { explainError } from "./refusals";
import { Ticket } from "./ticket";

export function Redeem() {
  const code = useCodeInput();
  const redemption = useRedemption();
  const { state, error, sent } = redemption;
  const checkButton = useRef<HTMLButtonElement>(null);
  const acceptButton = useRef<HTMLButtonElement>(null);
  const heading = useRef<HTMLHeadingElement>(null);
  const input = code.inputProps.ref;

  // Focus follows what the person set going, never what the page does by itself (continuing after a reload).
  const acted = useRef(false);
  const before = useRef(state);
  useEffect(() => {
    if (before.current === state) return;
    const from = before.current;
    before.current = state;
    if (!acted.current) return;
    if (state === "idle" && from !== "refused" && from !== "error") input.current?.focus();
    else heading.current?.focus();
  }, [state, input]);

  const asking = state === "previewing";
  const editing = state === "idle" || asking || state === "refused" || (state === "error" && !sent);

  const submit = (event: FormEvent) => {
    event.preventDefault();
    acted.current = true;
    if (asking) return;
    if (code.submittable) return void redemption.preview(code.value);
    // What stands in the way gets the focus.
    if (acceptButton.current) acceptButton.current.focus();
    else {
      input.current?.blur(); // What is there counts as all there is, and is judged so.
      input.current?.focus();
    }
  };
  const startAnew = () => {
    redemption.cancel();
    code.setValue("");
    input.current?.focus();
  };
  const act = (then: () => void) => () => {
    acted.current = true;
    then();
  };

  if (!editing) {
    return (
      <section className="card redeem" aria-label="Your code" data-state={state}>
        <Earlier redemption={redemption} />
        <Ticket
          redemption={redemption}
          heading={heading}
          onConfirm={act(() => void redemption.confirm())}
          onCancel={act(redemption.cancel)}
          onAnother={act(startAnew)}
        />
      </section>
    );
  }
  return (
    <section className="card redeem" aria-label="Your code" data-state={state}>
      <Earlier redemption={redemption} />
      <form onSubmit={submit} noValidate aria-busy={asking}>
        {error && <Refused redemption={redemption} heading={heading} />}
        <CodeField
          code={code}
          acceptRef={acceptButton}
          onEdit={() => {
            // What was said about another text no longer holds.
            if (state !== "idle") redemption.cancel();
          }}
          onAccepted={() => checkButton.current?.focus()}
        />
        <div className="redeem-actions">
          {state === "refused" && (
            <button type="button" className="button button-main" onClick={act(startAnew)}>
              Try another code
            </button>
          )}
          {/* Not `disabled` while asking: that would take the focus away. */}
          <button
            ref={checkButton}
            type="submit"
            className={`button ${state === "refused" || code.suggestion ? "button-quiet" : "button-main"}`}
            aria-disabled={asking}
          >
            {asking ? <Busy>Checking…</Busy> : error ? "Check again" : "Check code"}
          </button>
        </div>
      </form>
    </section>
  );
}

/** A redemption begun before this page was loaded is being, or has been, brought to its end. */
function Earlier({ redemption: { state, resumed } }: { redemption: UseRedemption }) {
  if (!resumed) return null;
  return (
    <p className="earlier" role="status">
      <Icon name="undo" size={18} />
      {state === "redeeming"
        ? "A code was still being redeemed when this page opened. We are finishing that now; it counts once."
        : "This code was still being redeemed when this page opened."}
    </p>
  );
}

function Refused({ redemption, heading }: { redemption: UseRedemption; heading: RefObject<HTMLHeadingElement | null> }) {
  const { error, previewed, state, code } = redemption;
  if (!error) return null;
  const { title, text } = explainError(error);
  const earlier = error.problem?.["earlier_redemption_id"];
  return (
    <div className="refused" data-kind={state} role="alert">
      <Icon name={state === "refused" ? "close" : "alert"} size={22} />
      <div>
        <h2 ref={heading} tabIndex={-1}>
          {title}
        </h2>
        <p>{text}</p>
        <p className="refused-what">
          {previewed ? `${previewed.reward.name} · ${previewed.campaign.name} · ` : ""}
          <code>{code}</code>
        </p>
        {typeof earlier === "string" && (
          <p>
            <a href={`#redemption-${earlier}`}>Show it in your history</a>
          </p>
        )}
      </div>
    </div>
  );
}
