// Phone numbers as people say and type them, read with the metadata of the world's numbering plans.

import {
  AsYouType,
  type CountryCode,
  getCountries,
  getCountryCallingCode,
  parseIncompletePhoneNumber,
  parsePhoneNumberFromString,
  validatePhoneNumberLength,
} from "libphonenumber-js/min";

export type { CountryCode };

/** What a typed number is. */
export interface PhoneReading {
  /** Grouped as that country groups it. */
  display: string;
  /** For the edge; null while it is not one. */
  e164: string | null;
  /** Where it belongs, or what is wrong with it. */
  hint: string;
  /** The number cannot become right by typing on. */
  wrong: boolean;
}

const names = new Intl.DisplayNames(undefined, { type: "region" });

/** Every country, by name, with its calling code. */
export const countries: { code: CountryCode; name: string; calling: string }[] = getCountries()
  .map((code) => ({ code, name: names.of(code) ?? code, calling: `+${getCountryCallingCode(code)}` }))
  .sort((one, other) => one.name.localeCompare(other.name));

const COUNTRY_KEY = "till:country";
const HOME: CountryCode = "DE";

/** The country of numbers without a `+`: the last one chosen at this till. */
export function homeCountry(): CountryCode {
  const kept = localStorage.getItem(COUNTRY_KEY);
  return countries.find(({ code }) => code === kept)?.code ?? HOME;
}

export function keepHomeCountry(code: CountryCode): void {
  localStorage.setItem(COUNTRY_KEY, code);
}

/** Keeps digits, of any script, and a leading plus; reads `(0)`, dots, dashes and blanks away. */
export function symbolsOf(text: string): string {
  return parseIncompletePhoneNumber(text).slice(0, 18);
}

/** Reads what has been typed so far. */
export function readPhone(symbols: string, country: CountryCode): PhoneReading {
  const typed = new AsYouType(country);
  const display = typed.input(symbols);
  const reading = { display, e164: null, hint: "", wrong: false };
  if (symbols.replace(/\D/g, "").length < 3) return reading;
  const wrongLength = validatePhoneNumberLength(symbols, country);
  if (wrongLength === "TOO_SHORT") return reading;
  if (wrongLength === "TOO_LONG") return { ...reading, hint: "That is too long for a phone number.", wrong: true };
  if (wrongLength === "INVALID_COUNTRY") return { ...reading, hint: "No country has this calling code.", wrong: true };
  const number = parsePhoneNumberFromString(symbols, country);
  if (!number?.isPossible()) return reading;
  const where = number.country ? (names.of(number.country) ?? number.country) : "";
  const hint = number.isValid() ? where : "This looks unusual: please compare it with the customer.";
  return { display, e164: number.number, hint, wrong: false };
}

/** A stored number as people read it. */
export function showPhone(e164: string): string {
  return parsePhoneNumberFromString(e164)?.formatInternational() ?? e164;
}

/** On a receipt, which others may pick up, the last digits do. */
export function maskPhone(e164: string): string {
  return `••• ${e164.slice(-4)}`;
}
