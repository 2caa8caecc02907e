// Amounts, dates and names as people read them, in the reader's own language settings.

const locale = undefined;

export function money(currency: string, amountMinor: number): string {
  const format = new Intl.NumberFormat(locale, { style: "currency", currency });
  return format.format(amountMinor / 10 ** (format.resolvedOptions().maximumFractionDigits ?? 2));
}

const whole = new Intl.NumberFormat(locale);
export const count = (amount: number): string => whole.format(amount);

const dayAndTime = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" });
const time = new Intl.DateTimeFormat(locale, { timeStyle: "short" });

export const timeOfDay = (at: Date): string => time.format(at);
export const moment = (instant: string): string => dayAndTime.format(new Date(instant));

/** An end is the first instant after; what people are told is the last minute before it. */
export const lastMoment = (end: string): string => dayAndTime.format(new Date(Date.parse(end) - 60_000));

/** "early-access" → "Early access". */
export function readable(key: string): string {
  const words = key.replace(/[-_.]+/g, " ").trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** "in about 12 minutes", rounded up, so that trying at that time works. */
export function waitFor(seconds: number): string {
  const minutes = Math.ceil(seconds / 60);
  if (minutes <= 1) return "in a minute";
  if (minutes < 90) return `in about ${minutes} minutes`;
  return `in about ${Math.ceil(minutes / 60)} hours`;
}
