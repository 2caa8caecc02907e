// The few signs of the till, drawn with the text's colour. All are decoration: the words beside them say it.

const PATHS = {
  alert: "M12 8v5m0 3.2v.1M10.3 4.2 2.8 17.4A2 2 0 0 0 4.5 20.4h15a2 2 0 0 0 1.7-3L13.7 4.2a2 2 0 0 0-3.4 0Z",
  arrow: "M5 12h14m-6-6 6 6-6 6",
  back: "M19 12H5m6-6-6 6 6 6",
  check: "m5 12.5 4.5 4.5L19 7.5",
  clock: "M12 7v5l3.5 2M21 12a9 9 0 1 1-18 0 9 9 0 0 1 18 0Z",
  erase: "M9 5h10.5A1.5 1.5 0 0 1 21 6.5v11a1.5 1.5 0 0 1-1.5 1.5H9l-6-7 6-7Zm2.5 4.5 5 5m0-5-5 5",
  gift: "M4 11v8.5A1.5 1.5 0 0 0 5.5 21h13a1.5 1.5 0 0 0 1.5-1.5V11M3 7.5h18V11H3zM12 7.5V21m0-13.5S10.8 3 8.3 3a2.2 2.2 0 0 0 0 4.5H12Zm0 0S13.2 3 15.7 3a2.2 2.2 0 0 1 0 4.5H12Z",
  offline: "M3 3l18 18M5 12.5a10 10 0 0 1 4-2.4m5.6-.2a10 10 0 0 1 4.4 2.6M8.5 16a5 5 0 0 1 7 0M2 8.8a15 15 0 0 1 4.2-2.6m4.6-1.1A15 15 0 0 1 22 8.8M12 20h.01",
  print: "M7 9V3.5h10V9M7 18H5a2 2 0 0 1-2-2v-5a2 2 0 0 1 2-2h14a2 2 0 0 1 2 2v5a2 2 0 0 1-2 2h-2M7 14.5h10v6H7z",
  undo: "M4 9h11a5 5 0 0 1 0 10h-4M4 9l4.5-4.5M4 9l4.5 4.5",
  user: "M20 21a8 8 0 0 0-16 0M16 8a4 4 0 1 1-8 0 4 4 0 0 1 8 0Z",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 24 }: { name: IconName; size?: number }) {
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
