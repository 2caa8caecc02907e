// An accessible form without any styling of its own: label, grouped input, suggestion, preview, result.

import type { CounterfoilError, Preview, Redemption } from "@counterfoil/sdk";
import { type FormEvent, type ReactNode, useEffect, useId, useRef } from "react";

import { useCodeInput } from "./code-input.js";
import { useRedemption, type UseRedemptionOptions } from "./redemption.js";

/** Parts that take a class name; each also has `data-part`. */
export type RedeemFormPart =
  | "form"
  | "label"
  | "input"
  | "hint"
  | "suggestion"
  | "mark"
  | "accept"
  | "preview"
  | "actions"
  | "submit"
  | "cancel"
  | "status"
  | "error";

/** Every text that is shown, so that it can be translated. */
export interface RedeemFormTexts {
  label: string;
  check: string;
  checking: string;
  suggestion(code: ReactNode): ReactNode;
  unverified: string;
  accept: string;
  malformed: string;
  confirm: string;
  cancel: string;
  redeeming: string;
  another: string;
  retry: string;
  preview(preview: Preview): ReactNode;
  done(redemption: Redemption): ReactNode;
  refused(error: CounterfoilError): ReactNode;
  failed(error: CounterfoilError): ReactNode;
}

export interface RedeemFormProps extends UseRedemptionOptions {
  classNames?: Partial<Record<RedeemFormPart, string>>;
  texts?: Partial<RedeemFormTexts>;
  onRedeemed?: (redemption: Redemption) => void;
  onRefused?: (error: CounterfoilError) => void;
}

const ENGLISH: RedeemFormTexts = {
  label: "Redemption code",
  check: "Check code",
  checking: "Checking the code…",
  suggestion: (code) => <>Did you mean {code}?</>,
  unverified: "Please compare it with your code.",
  accept: "Use this code",
  malformed: "This is not a complete code. Please compare it with yours.",
  confirm: "Redeem",
  cancel: "Cancel",
  redeeming: "Redeeming… You may close this page; it goes on.",
  another: "Redeem another code",
  retry: "Try again",
  preview: ({ reward, campaign }) => (
    <>
      <strong>{reward.name}</strong> ({campaign.name})
    </>
  ),
  done: ({ status }) => (status === "granted" ? "Redeemed. Your reward is here." : "Redeemed. Your reward is on its way."),
  refused: ({ problem, message }) => problem?.detail ?? message,
  failed: ({ message }) => message,
};

/** The whole way from typing to the result. `data-state` on the form is the step; style by it. */
export function RedeemForm({ classNames = {}, texts, onRedeemed, onRefused, ...options }: RedeemFormProps): ReactNode {
  const say = { ...ENGLISH, ...texts };
  const id = useId();
  const input = useCodeInput();
  const redemption = useRedemption(options);
  const { state, previewed, error, sent } = redemption;
  const confirmButton = useRef<HTMLButtonElement>(null);
  const part = (name: RedeemFormPart) => ({ "data-part": name, className: classNames[name] });

  // The next thing to do gets the focus, so that the keyboard and a screen reader are there already.
  useEffect(() => {
    if (state === "confirming") confirmButton.current?.focus();
  }, [state]);

  const told = useRef({ onRedeemed, onRefused });
  useEffect(() => {
    told.current = { onRedeemed, onRefused };
  });
  const { redemption: result } = redemption;
  useEffect(() => {
    if (state === "done" && result) told.current.onRedeemed?.(result);
    if (state === "refused" && error) told.current.onRefused?.(error);
    // Once for each end, whatever the object becomes later.
  }, [state, result, error]);

  const reset = () => {
    redemption.cancel();
    if (state === "done") input.setValue("");
    input.inputProps.ref.current?.focus();
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (state === "confirming" || (state === "error" && sent)) void redemption.confirm();
    else if (state === "done") reset();
    else if (input.submittable) void redemption.preview(input.value);
    else input.inputProps.ref.current?.focus();
  };

  const busy = state === "previewing" || state === "redeeming";
  const editable = !busy && state !== "confirming" && state !== "done";
  const { suggestion } = input;
  const malformed = input.inputProps["aria-invalid"] && !suggestion;
  const submitText =
    state === "confirming" ? say.confirm : state === "done" ? say.another : state === "error" ? say.retry : say.check;

  return (
    <form {...part("form")} data-state={state} onSubmit={submit} aria-busy={busy} noValidate>
      <label {...part("label")} htmlFor={`${id}input`}>
        {say.label}
      </label>
      <input
        {...input.inputProps}
        {...part("input")}
        id={`${id}input`}
        aria-describedby={`${id}hint`}
        readOnly={!editable}
        onChange={(event) => {
          // What was said about another text no longer holds.
          if (state === "refused" || state === "error") redemption.cancel();
          input.inputProps.onChange(event);
        }}
      />
      <div {...part("hint")} id={`${id}hint`} aria-live="polite">
        {editable && suggestion && (
          <p {...part("suggestion")}>
            {say.suggestion(<MarkedCode {...suggestion} className={classNames.mark} />)}{" "}
            {suggestion.unverified && `${say.unverified} `}
            <button {...part("accept")} type="button" onClick={() => input.acceptSuggestion()}>
              {say.accept}
            </button>
          </p>
        )}
        {editable && malformed && say.malformed}
      </div>
      <div {...part("status")} role="status">
        {state === "previewing" && say.checking}
        {state === "confirming" && previewed && <p {...part("preview")}>{say.preview(previewed)}</p>}
        {state === "redeeming" && say.redeeming}
        {state === "done" && result && say.done(result)}
      </div>
      <div {...part("error")} role="alert">
        {state === "refused" && error && say.refused(error)}
        {state === "error" && error && say.failed(error)}
      </div>
      <div {...part("actions")}>
        <button {...part("submit")} ref={confirmButton} type="submit" disabled={busy}>
          {submitText}
        </button>
        {state === "confirming" && (
          <button {...part("cancel")} type="button" onClick={reset}>
            {say.cancel}
          </button>
        )}
      </div>
    </form>
  );
}

export interface MarkedCodeProps {
  code: string;
  /** Symbols to mark, from 0, separators not counted. */
  changed: readonly number[];
  /** Of each mark. */
  className?: string | undefined;
}

/** A code with some symbols in `<mark>`. */
export function MarkedCode({ code, changed, className }: MarkedCodeProps): ReactNode {
  let symbol = -1;
  return (
    <code>
      {[...code].map((letter, index) => {
        if (letter !== "-") symbol += 1;
        return letter !== "-" && changed.includes(symbol) ? (
          <mark key={index} data-part="mark" className={className}>
            {letter}
          </mark>
        ) : (
          letter
        );
      })}
    </code>
  );
}
