// An input for codes: grouped as it is typed, caret kept, checked at every key, with the repair of a slip.

import { checkCode, type CodeCheck, formatCode, ready, type Suggestion } from "@counterfoil/sdk";
import {
  type ChangeEvent,
  type CompositionEvent,
  type KeyboardEvent,
  type RefObject,
  useCallback,
  useEffect,
  useLayoutEffect,
  useMemo,
  useRef,
  useState,
} from "react";

export interface CodeInputProps {
  ref: RefObject<HTMLInputElement | null>;
  value: string;
  onChange(event: ChangeEvent<HTMLInputElement>): void;
  onBlur(): void;
  onKeyDown(event: KeyboardEvent<HTMLInputElement>): void;
  onCompositionEnd(event: CompositionEvent<HTMLInputElement>): void;
  type: "text";
  autoComplete: "off";
  autoCapitalize: "characters";
  autoCorrect: "off";
  spellCheck: false;
  "aria-invalid": boolean;
}

export interface UseCodeInput {
  /** As shown: grouped, upper case. */
  value: string;
  /** Spread onto an `<input>`. */
  inputProps: CodeInputProps;
  /** Null while empty, and until the checker has loaded. */
  check: CodeCheck | null;
  /** The code probably meant; show it with `changed` marked, and let the person decide. */
  suggestion: Suggestion | null;
  /** Puts the suggestion into the input and returns it. */
  acceptSuggestion(): string | null;
  /** Symbol (from 0, separators not counted) that cannot be right, where that is known; else null. */
  wrongPosition: number | null;
  /** As many symbols as the code's kind asks for. */
  complete: boolean;
  /** Worth sending: a well-formed code, or what may be an alias. */
  submittable: boolean;
  setValue(text: string): void;
}

/** What the input shows; a new object at every change, so that the caret is put back even when the text is the same. */
interface Shown {
  text: string;
  caret: number | null;
}

// React warns about layout effects on servers, where there is no caret to put back.
const useCaretEffect = typeof document === "undefined" ? useEffect : useLayoutEffect;

export function useCodeInput({ initial = "" }: { initial?: string } = {}): UseCodeInput {
  const ref = useRef<HTMLInputElement>(null);
  const [usable, setUsable] = useState(false);
  const [shown, setShown] = useState<Shown>({ text: initial, caret: null });
  // Once the field has been left, what is there counts as all there is.
  const [left, setLeft] = useState(false);

  useEffect(() => {
    let current = true;
    ready().then(
      () => {
        if (!current) return;
        setUsable(true);
        setShown(({ text }) => format(text, ref.current?.selectionStart ?? text.length));
      },
      // Without the checker the input is a plain one; the server checks all the same.
      () => {},
    );
    return () => {
      current = false;
    };
  }, []);

  useCaretEffect(() => {
    const input = ref.current;
    if (shown.caret === null || !input || input.ownerDocument.activeElement !== input) return;
    input.setSelectionRange(shown.caret, shown.caret);
  }, [shown]);

  const show = useCallback(
    (text: string, caret: number) => setShown(usable ? format(text, caret) : { text, caret: null }),
    [usable],
  );
  const setValue = useCallback((text: string) => show(text, text.length), [show]);

  const { text } = shown;
  const { check, complete, symbols } = useMemo(() => {
    if (!usable || !text.trim()) return { check: null, complete: false, symbols: 0 };
    return { check: checkCode(text, { typing: !left }), ...pick(formatCode(text)) };
  }, [usable, text, left]);

  const failed = check && !check.ok ? check : null;
  const suggestion = failed?.suggestions[0] ?? null;
  const mayBeAlias = failed?.reason === "wrong_length" && symbols >= 3 && symbols <= 14;
  const settled = complete || left;

  const acceptSuggestion = useCallback(() => {
    if (suggestion) setValue(suggestion.code);
    return suggestion?.code ?? null;
  }, [suggestion, setValue]);

  return {
    value: text,
    check,
    suggestion,
    acceptSuggestion,
    wrongPosition: wrongPositionOf(failed, settled),
    complete,
    submittable: Boolean(check?.ok || mayBeAlias || (!usable && text.trim())),
    setValue,
    inputProps: {
      ref,
      value: text,
      onChange({ currentTarget: input, nativeEvent }) {
        setLeft(false);
        // An input method's unfinished text is its own; it is grouped when it has been composed.
        if ((nativeEvent as InputEvent).isComposing) setShown({ text: input.value, caret: null });
        else show(input.value, input.selectionStart ?? input.value.length);
      },
      onCompositionEnd({ currentTarget: input }) {
        show(input.value, input.selectionStart ?? input.value.length);
      },
      onBlur: () => setLeft(true),
      onKeyDown: stepOverSeparator,
      type: "text",
      autoComplete: "off",
      autoCapitalize: "characters",
      autoCorrect: "off",
      spellCheck: false,
      "aria-invalid": Boolean(failed) && settled && !mayBeAlias,
    },
  };
}

function format(text: string, caret: number): Shown {
  const formatted = formatCode(text, caret);
  return { text: formatted.text, caret: formatted.caret };
}

function pick({ complete, symbols }: { complete: boolean; symbols: number }) {
  return { complete, symbols };
}

/** A separator deleted alone would come straight back: take the symbol beyond it instead. */
function stepOverSeparator({ key, currentTarget: input }: KeyboardEvent<HTMLInputElement>): void {
  const { selectionStart: at, selectionEnd, value } = input;
  if (at === null || at !== selectionEnd) return;
  if (key === "Backspace" && value[at - 1] === "-") input.setSelectionRange(at - 1, at - 1);
  if (key === "Delete" && value[at] === "-") input.setSelectionRange(at + 1, at + 1);
}

function wrongPositionOf(failed: Extract<CodeCheck, { ok: false }> | null, settled: boolean): number | null {
  if (!failed) return null;
  switch (failed.reason) {
    case "invalid_symbol":
    case "unreadable_symbol":
      return failed.position ?? null;
    // Too short or too long is nobody's position.
    case "wrong_length":
    case "length_mismatch":
      return null;
    default:
      return settled ? (failed.position ?? null) : null;
  }
}
