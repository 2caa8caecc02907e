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

const DAY_S = 86_400;
const HOUR_S = 3_600;
const two = (amount: number): string => String(amount).padStart(2, "0");

/** Time left as a clock shows it, "1:59:43"; days where there are any; `coarse`: no seconds before the last minute. */
export function remaining(ms: number, coarse = false): string {
  const seconds = Math.floor(ms / 1000);
  const [days, hours, minutes] = [Math.floor(seconds / DAY_S), Math.floor((seconds % DAY_S) / HOUR_S), Math.floor((seconds % HOUR_S) / 60)];
  if (days > 0) return `${days} ${days === 1 ? "day" : "days"}${days < 7 && hours > 0 ? ` ${hours} h` : ""}`;
  if (coarse) return seconds < 60 ? "under a minute" : hours > 0 ? `${hours} h ${minutes} min` : `${minutes} min`;
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

/** "2 hours", "1 hour 30 minutes", "3 days": the two largest units. */
export function spokenTime(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const units = [
    ["day", Math.floor(seconds / DAY_S)],
    ["hour", Math.floor((seconds % DAY_S) / HOUR_S)],
    ["minute", Math.floor((seconds % HOUR_S) / 60)],
    ["second", seconds % 60],
  ] as const;
  const first = Math.max(0, units.findIndex(([, amount]) => amount > 0));
  const parts = units.slice(first, first + (first < 2 ? 2 : 1)).filter(([, amount]) => amount > 0);
  return parts.map(([unit, amount]) => `${amount} ${unit}${amount === 1 ? "" : "s"}`).join(" ") || "no time";
}

const factor = new Intl.NumberFormat(locale, { maximumFractionDigits: 2 });
/** Thousandths as "×2" or "×1.5". */
export const times = (permille: number): string => `×${factor.format(permille / 1000)}`;

const sameDay = (one: Date, other: Date): boolean => one.toDateString() === other.toDateString();

/** "14:05" today, with its date on any other day. */
export function timeToday(instant: string): string {
  const at = new Date(instant);
  return sameDay(at, new Date()) ? time.format(at) : dayAndTime.format(at);
}
