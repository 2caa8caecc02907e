// The first page: the customer's phone number, on a pad for fingers and from any keyboard.

import type { UseTill } from "@counterfoil/sdk/till/react";
import { type FormEvent, useEffect, useLayoutEffect, useRef, useState } from "react";

import { explain } from "./explain";
import { Heading, Note, useKeys } from "./frame";
import { Busy, Icon } from "./icons";
import { LastSale } from "./last-sale";
import { type CountryCode, countries, homeCountry, keepHomeCountry, readPhone, symbolsOf } from "./phone";

const KEYS = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "+", "0"];

export function PhoneScreen({ counter, reachable }: { counter: UseTill; reachable: boolean }) {
  const [country, setCountry] = useState<CountryCode>(homeCountry);
  const [symbols, setSymbols] = useState("");
  const input = useRef<HTMLInputElement>(null);
  /** How many symbols stand before the caret, so that it stays between them while they are grouped. */
  const caret = useRef<number | null>(null);
  const { display, e164, hint, wrong } = readPhone(symbols, country);
  const looking = counter.busy === "looking";
  // What was said about another number no longer holds.
  const [asked, setAsked] = useState<string | null>(null);
  const error = counter.error && (counter.phone === null || asked === symbols) ? counter.error : null;

  useEffect(() => input.current?.focus(), []);
  useLayoutEffect(() => {
    const before = caret.current;
    if (before === null || document.activeElement !== input.current) return;
    caret.current = null;
    let at = 0;
    for (let seen = 0; seen < before && at < display.length; at++) if (/[\d+]/.test(display[at] ?? "")) seen += 1;
    input.current?.setSelectionRange(at, at);
  }, [display]);

  const type = (key: string) => setSymbols((before) => symbolsOf(key === "+" ? `+${before.replace("+", "")}` : before + key));
  const erase = () => setSymbols((before) => before.slice(0, -1));
  const find = (event?: FormEvent) => {
    event?.preventDefault();
    if (!e164 || looking || !reachable) return input.current?.focus();
    setAsked(symbols);
    void counter.lookup(e164);
  };
  // A key pressed anywhere on the page is meant for the number.
  useKeys((event) => {
    const { key } = event;
    if (/^[\d+]$/.test(key)) type(key);
    else if (key === "Backspace") erase();
    else if (key === "Escape") setSymbols("");
    else return;
    event.preventDefault();
    input.current?.focus();
  });

  return (
    <>
      <form className="phone" onSubmit={find} noValidate aria-busy={looking}>
        <Heading focus={false}>Customer's phone number</Heading>
        <div className="phone-line" data-wrong={wrong}>
          <label className="country">
            <span className="hidden">Country of numbers without a plus sign</span>
            <span className="country-shown" aria-hidden="true">
              {country} {countries.find(({ code }) => code === country)?.calling}
            </span>
            <select
              value={country}
              onChange={(event) => {
                const chosen = event.target.value as CountryCode;
                setCountry(chosen);
                keepHomeCountry(chosen);
                input.current?.focus();
              }}
            >
              {countries.map(({ code, name, calling }) => (
                <option key={code} value={code}>
                  {name} {calling}
                </option>
              ))}
            </select>
          </label>
          <input
            ref={input}
            className="phone-number"
            type="tel"
            // The pad below is the keyboard of a tablet; a real one works all the same.
            inputMode="none"
            autoComplete="off"
            aria-label="Phone number"
            aria-describedby="phone-hint"
            aria-invalid={wrong || undefined}
            placeholder="0152 …"
            value={display}
            onChange={({ target }) => {
              const before = target.value.slice(0, target.selectionStart ?? target.value.length);
              caret.current = before.replace(/[^\d+]/g, "").length;
              setSymbols(symbolsOf(target.value));
            }}
            onKeyDown={(event) => {
              if (event.key === "Escape") setSymbols("");
            }}
          />
        </div>
        <p id="phone-hint" className="phone-hint" data-wrong={wrong} role="status">
          {hint}
        </p>
        {error && !looking && (
          <Note title={explain(error).title}>
            <p>{explain(error).text}</p>
          </Note>
        )}
        <div className="pad" role="group" aria-label="Number pad">
          {KEYS.map((key) => (
            <button key={key} type="button" className="key" onClick={() => type(key)} aria-label={key === "+" ? "Plus sign" : key}>
              {key}
            </button>
          ))}
          <button type="button" className="key key-erase" onClick={erase} aria-label="Erase the last digit">
            <Icon name="erase" size={30} />
          </button>
        </div>
        <button type="submit" className="button button-main button-large" aria-disabled={!e164 || looking || !reachable}>
          {looking ? <Busy>Looking…</Busy> : <>Find customer</>}
        </button>
      </form>
      <LastSale counter={counter} reachable={reachable} />
    </>
  );
}
