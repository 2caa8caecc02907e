// Calendar days of a time zone, from the runtime's own zone data and by search alone, as a check on the edge's arithmetic.

/** The calendar date `YYYY-MM-DD` that a clock in the zone shows. */
export const dateIn = (zone, ms) => new Intl.DateTimeFormat("sv-SE", { timeZone: zone, year: "numeric", month: "2-digit", day: "2-digit" }).format(ms);

/** The hour, 0 to 23, that a clock in the zone shows. */
export const hourIn = (zone, ms) => Number(new Intl.DateTimeFormat("en-GB", { timeZone: zone, hour: "2-digit", hourCycle: "h23" }).format(ms));

/** The first instant at which clocks in the zone show this date or a later one, in milliseconds. */
export function startOfDay(zone, date) {
  let [before, after] = [Date.parse(`${date}T00:00:00Z`) - 86_400_000, Date.parse(`${date}T00:00:00Z`) + 86_400_000];
  while (after - before > 1000) {
    const middle = Math.floor((before + after) / 2000) * 1000;
    if (dateIn(zone, middle) >= date) after = middle;
    else before = middle;
  }
  return after;
}

/** The date so many days later. */
export const plusDays = (date, days) => new Date(Date.parse(`${date}T00:00:00Z`) + days * 86_400_000).toISOString().slice(0, 10);

/** The first instant after this date's last, in milliseconds. */
export const endOfDay = (zone, date) => startOfDay(zone, plusDays(date, 1));
