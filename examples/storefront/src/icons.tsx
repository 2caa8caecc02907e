// The few signs of the page, drawn with the text's colour. All are decoration: the words beside them say it.

const PATHS = {
  alert: "M12 8v5m0 3.2v.1M10.3 4.2 2.8 17.4A2 2 0 0 0 4.5 20.4h15a2 2 0 0 0 1.7-3L13.7 4.2a2 2 0 0 0-3.4 0Z",
  arrow: "M5 12h14m-6-6 6 6-6 6",
  bolt: "M13 2.8 5 13.6h6l-1 7.6 8-10.8h-6l1-7.6Z",
  check: "m5 12.5 4.5 4.5L19 7.5",
  clock: "M12 7v5l3.5 2M21 12a9 9 0 1 1-18 0 9 9 0 0 1 18 0Z",
  close: "m6 6 12 12M18 6 6 18",
  coin: "M12 8v8m2.6-6.4c-.5-.9-1.5-1.2-2.6-1.2-1.5 0-2.6.7-2.6 1.8 0 2.6 5.2 1.2 5.2 3.8 0 1.1-1.1 1.8-2.6 1.8-1.2 0-2.2-.4-2.7-1.3M21 12a9 9 0 1 1-18 0 9 9 0 0 1 18 0Z",
  game: "M7 11h4m-2-2v4m6.5-.5h.1m2.4-2.5h.1M7.5 6h9A4.5 4.5 0 0 1 21 10.5l.7 5a2.5 2.5 0 0 1-4.4 1.8L15 15H9l-2.3 2.3a2.5 2.5 0 0 1-4.4-1.8l.7-5A4.5 4.5 0 0 1 7.5 6Z",
  gift: "M4 11v8.5A1.5 1.5 0 0 0 5.5 21h13a1.5 1.5 0 0 0 1.5-1.5V11M3 7.5h18V11H3zM12 7.5V21m0-13.5S10.8 3 8.3 3a2.2 2.2 0 0 0 0 4.5H12Zm0 0S13.2 3 15.7 3a2.2 2.2 0 0 1 0 4.5H12Z",
  percent: "M19 5 5 19M9.5 7a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0Zm10 10a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0Z",
  spark: "M12 3l2.2 6.8L21 12l-6.8 2.2L12 21l-2.2-6.8L3 12l6.8-2.2z",
  undo: "M4 9h11a5 5 0 0 1 0 10h-4M4 9l4.5-4.5M4 9l4.5 4.5",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 20 }: { name: IconName; size?: number }) {
  return (
    <svg className="icon" viewBox="0 0 24 24" width={size} height={size} aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}

/** What is under way; the words beside the wheel say what. */
export function Busy({ children }: { children: string }) {
  return (
    <>
      <span className="busy" aria-hidden="true" />
      {children}
    </>
  );
}
