// Asks before something that cannot be taken back.

import { type ReactNode, useEffect, useId, useRef } from "react";

interface AskProps {
  title: string;
  children: ReactNode;
  yes: string;
  no: string;
  /** Yes takes something away: it looks so, and the focus is on no at first. */
  harmful?: boolean;
  onYes(): void;
  /** However it ended. */
  onClose(): void;
}

export function Ask({ title, children, yes, no, harmful = false, onYes, onClose }: AskProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const firstButton = useRef<HTMLButtonElement>(null);
  const id = useId();
  useEffect(() => {
    if (!dialog.current?.open) dialog.current?.showModal();
    firstButton.current?.focus();
  }, []);
  const close = () => dialog.current?.close();
  return (
    <dialog
      ref={dialog}
      className="ask"
      aria-labelledby={`${id}title`}
      aria-describedby={`${id}text`}
      onClose={onClose}
      // Beside the box is the backdrop, which is the dialog itself.
      onClick={(event) => event.target === event.currentTarget && close()}
    >
      <div className="ask-box">
        <h2 id={`${id}title`}>{title}</h2>
        <div id={`${id}text`} className="ask-text">
          {children}
        </div>
        <div className="ask-actions">
          <button
            ref={harmful ? undefined : firstButton}
            type="button"
            className={`button ${harmful ? "button-bad" : "button-main"}`}
            onClick={() => {
              close();
              onYes();
            }}
          >
            {yes}
          </button>
          <button ref={harmful ? firstButton : undefined} type="button" className="button button-quiet" onClick={close}>
            {no}
          </button>
        </div>
      </div>
    </dialog>
  );
}
