// Numbers about numbers.

/** The value below which this share of the values lies. */
export function quantile(values, share) {
  if (values.length === 0) return NaN;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))];
}

export const median = (values) => quantile(values, 0.5);

/** The middle and the bounds within which the middle half lies: how noisy the rounds were. */
export const spread = (values) => ({ median: median(values), low: quantile(values, 0.25), high: quantile(values, 0.75), least: quantile(values, 0), most: quantile(values, 1), rounds: values.length });
