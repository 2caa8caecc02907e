// The box a code is typed into: grouped as it grows, the wrong symbol marked, the repair of a slip offered.

import { formatCode, isReady } from "@counterfoil/sdk";
import { MarkedCode, type UseCodeInput } from "@counterfoil/sdk/react";
import { type CSSProperties, type ReactNode, type RefObject, useLayoutEffect, useRef } from "react";

import { Icon } from "./icons";

/** Groups by kind of code; the usual kind until the first symbol says another. */
const PATTERNS = { S20: "····-····-····-····-····", S16: "····-····-····-····", S25: "·····-·····-·····-·····-·····" };

interface CodeFieldProps {
  code: UseCodeInput;
  acceptRef: RefObject<HTMLButtonElement | null>;
  /** Told before the text changes. */
  onEdit(): void;
  /** The suggestion has been put into the box. */
  onAccepted(): void;
}

export function CodeField({ code, acceptRef, onEdit, onAccepted }: CodeFieldProps) {
  const { value, inputProps, suggestion } = code;
  const under = useRef<HTMLDivElement>(null);
  const pattern = patternOf(value);
  const wrong = wrongPlaces(code);

  // A text longer than the box scrolls inside it; what lies under it goes along.
  const follow = () => {
    const input = inputProps.ref.current;
    if (input && under.current) under.current.style.transform = `translateX(${-input.scrollLeft}px)`;
  };
  useLayoutEffect(follow);

  return (
    <div className="field" style={{ "--places": Math.max(pattern.length, value.length) } as CSSProperties}>
      <label className="field-label" htmlFor="redeem">
        Your code
      </label>
      <div
        className="code-box"
        data-wrong={wrong.size > 0 || undefined}
      >
        <div className="code-under" aria-hidden="true" ref={under}>
          {[...value].map((letter, index) => (
            <span key={index} className={wrong.has(index) ? "code-wrong" : "code-typed"}>
              {letter}
            </span>
          ))}
          <span className="code-open">{pattern.slice(value.length)}</span>
        </div>
        <input
          {...inputProps}
          id="redeem"
          className="code-input"
          aria-describedby="code-hint"
          enterKeyHint="go"
          onScroll={follow}
          onChange={(event) => {
            onEdit();
            inputProps.onChange(event);
          }}
        />
      </div>
      <div className="field-hint" id="code-hint" aria-live="polite">
        {suggestion ? (
          <div className="suggestion">
            <p>
              <span className="suggestion-lead">Did you mean</span>{" "}
              <MarkedCode code={suggestion.code} changed={suggestion.changed} className="changed" />?
            </p>
            {suggestion.unverified && (
              <p className="suggestion-doubt">
                <Icon name="alert" size={18} /> This is a guess: too little was readable to be sure. Please compare every symbol.
              </p>
            )}
            <button
              ref={acceptRef}
              type="button"
              className="button button-accept"
              onClick={() => {
                onEdit();
                code.acceptSuggestion();
                onAccepted();
              }}
            >
              Use this code
            </button>
          </div>
        ) : (
          <Hint code={code} />
        )}
      </div>
    </div>
  );
}

function Hint({ code }: { code: UseCodeInput }): ReactNode {
  const { value, check, inputProps, wrongPosition } = code;
  const letter = wrongPosition === null ? undefined : value[indexOfSymbol(value, wrongPosition)];
  if (wrongPosition !== null && letter !== undefined) {
    const unreadable = check && !check.ok && check.reason === "unreadable_symbol";
    return (
      <p className="hint hint-bad">
        <Icon name="alert" size={18} />
        <span>
          Place {wrongPosition + 1}, <code>{letter}</code>,{" "}
          {unreadable ? "stands for a symbol you could not read. Please fill it in." : "does not fit. Please compare it with your code."}
        </span>
      </p>
    );
  }
  if (inputProps["aria-invalid"]) {
    return (
      <p className="hint hint-bad">
        <Icon name="alert" size={18} />
        <span>{shape(check && !check.ok ? check.reason : "")}</span>
      </p>
    );
  }
  if (check?.ok) {
    return (
      <p className="hint hint-good">
        <Icon name="check" size={18} />
        <span>No typing errors.</span>
      </p>
    );
  }
  return <p className="hint">Type it as printed. Capitals, spaces and dashes do not matter.</p>;
}

function shape(reason: string): string {
  switch (reason) {
    case "wrong_length":
    case "length_mismatch":
      return "Some symbols are missing or too many. Please compare it with your code.";
    case "too_long":
      return "This is longer than any code.";
    default:
      return "There is a typing error somewhere. Please compare it with your code.";
  }
}

function patternOf(value: string): string {
  const profile = isReady() && value ? formatCode(value).profile : undefined;
  return PATTERNS[profile ?? "S20"];
}

/** Places in the text to mark: what a repair would change where it stands, else the one symbol that cannot be right. */
function wrongPlaces({ value, suggestion, wrongPosition }: UseCodeInput): Set<number> {
  const sameLength = suggestion?.code.length === value.length;
  const symbols = sameLength ? suggestion.changed : wrongPosition === null ? [] : [wrongPosition];
  return new Set(symbols.map((symbol) => indexOfSymbol(value, symbol)).filter((at) => at >= 0));
}

/** Where the nth symbol stands in a grouped text. */
function indexOfSymbol(text: string, position: number): number {
  let symbol = -1;
  return [...text].findIndex((letter) => letter !== "-" && (symbol += 1) === position);
}
