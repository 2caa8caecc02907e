// What surrounds every page of the till: the bar, headings that take the focus, notes, and dialogs.

import { type ReactNode, useEffect, useId, useRef } from "react";

import { Icon, type IconName } from "./icons";
import { type Person, staff } from "./people";

interface BarProps {
  person: Person;
  reachable: boolean;
  /** Something is under way: not the moment to change hands. */
  locked: boolean;
  onChoose(person: Person): void;
}

/** The shop, how it is connected, who works here. */
export function Bar({ person, reachable, locked, onChoose }: BarProps) {
  return (
    <header className="bar">
      <p className="brand">
        <svg viewBox="0 0 32 32" width="32" height="32" aria-hidden="true" focusable="false">
          <rect width="32" height="32" rx="9" fill="var(--logo)" />
          <path d="M16 6.5l2.5 7 7 2.5-7 2.5-2.5 7-2.5-7-7-2.5 7-2.5z" fill="var(--logo-star)" />
        </svg>
        <span className="brand-name">Northlight</span>
        <span className="brand-till">Till</span>
      </p>
      <p className="connection" data-reachable={reachable}>
        <span className="connection-dot" aria-hidden="true" />
        {reachable ? "Online" : "Offline"}
      </p>
      <fieldset className="people" disabled={locked}>
        <legend className="hidden">Working at this till</legend>
        {staff.map((one) => (
          <label key={one.id} className="person">
            <input type="radio" name="person" value={one.id} checked={one.id === person.id} onChange={() => onChoose(one)} />
            {one.name}
          </label>
        ))}
      </fieldset>
    </header>
  );
}

/** A page's heading; takes the focus when the page comes, so that it is read and the keyboard is there. */
export function Heading({ children, focus = true }: { children: ReactNode; focus?: boolean }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    if (focus) heading.current?.focus();
  }, [focus]);
  return (
    <h1 ref={heading} tabIndex={-1}>
      {children}
    </h1>
  );
}

/** Something that went wrong, with what helps. */
export function Note({ title, children, icon = "alert", kind = "bad" }: { title: string; children?: ReactNode; icon?: IconName; kind?: "bad" | "warm" | "good" }) {
  return (
    <div className={`note note-${kind}`} role={kind === "good" ? "status" : "alert"}>
      <Icon name={icon} />
      <div>
        <strong>{title}</strong>
        {children}
      </div>
    </div>
  );
}

interface SheetProps {
  title: string;
  children: ReactNode;
  /** However it ended. */
  onClose(): void;
}

/** A dialog over the page; Escape and a press beside it close it. */
export function Sheet({ title, children, onClose }: SheetProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    if (!dialog.current?.open) dialog.current?.showModal();
  }, []);
  return (
    <dialog
      ref={dialog}
      className="sheet"
      aria-labelledby={`${id}title`}
      onClose={onClose}
      // Beside the box is the backdrop, which is the dialog itself.
      onClick={(event) => event.target === event.currentTarget && dialog.current?.close()}
    >
      <div className="sheet-box">
        <h2 id={`${id}title`}>{title}</h2>
        {children}
      </div>
    </dialog>
  );
}

/** Calls with every key pressed on the page, but those that a field or an open dialog takes. */
export function useKeys(onKey: (event: KeyboardEvent) => void): void {
  const latest = useRef(onKey);
  useEffect(() => {
    latest.current = onKey;
  });
  useEffect(() => {
    const listen = (event: KeyboardEvent) => {
      const { target } = event;
      const typing = target instanceof Element && target.closest("input:not([type=radio]), select, textarea, dialog");
      if (typing || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
      latest.current(event);
    };
    addEventListener("keydown", listen);
    return () => removeEventListener("keydown", listen);
  }, []);
}
