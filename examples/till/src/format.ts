// Amounts and times as people read them, in the reader's own language settings.

const whole = new Intl.NumberFormat();

/** "1,240". */
export const count = (amount: number): string => whole.format(amount);

/** "1 point", "1,240 points". */
export const points = (amount: number): string => `${count(amount)} ${amount === 1 ? "point" : "points"}`;

const dayAndTime = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const time = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });

export const moment = (instant: string): string => dayAndTime.format(new Date(instant));
export const timeOfDay = (instant: string): string => time.format(new Date(instant));

/** "1:07". */
export function minutes(ms: number): string {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

/** "2 × Coffee", and "Coffee" where there is one. */
export const times = (quantity: number, name: string): string => (quantity === 1 ? name : `${quantity} × ${name}`);
