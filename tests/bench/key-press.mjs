// Texts that take the longest way through each decoder of typing errors; the native half measures the same.
export const KEY_PRESSES = {
  "a clean code": "H0409-VDF1N-GEMV5-9EV3M-V9QKV",
  "one wrong": "H0409-VDF1N-GEMV5-9EV3M-V9QKW",
  "two swapped": "H0409-VDF1N-GEMV5-9EV3M-V9KQV",
  "one left out": "H0409-VDF1N-GEMV5-9EV3M-V9QV",
  "one too many": "H0409-VDF1N-GEMV5-9EV3M-V9QK7-V",
  "two groups swapped": "H0409-VDF1N-GEMV5-V9QKV-9EV3M",
  "three unreadable": "H04?9-VDF1N-GEM?5-9EV3M-V9?KV",
  "beyond repair": "H0409-VD31N-GEMV5-9E63M-V9QKV",
};
