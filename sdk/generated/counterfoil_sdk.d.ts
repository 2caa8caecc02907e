/* tslint:disable */
/* eslint-disable */
/**
 * A code the person may have meant.
 */
export interface Suggestion {
    /**
     * Its canonical text.
     */
    code: string;
    /**
     * The slip it assumes.
     */
    correction: string;
    /**
     * Symbols of it (from 0, separators not counted) that differ from what was typed.
     */
    changed: number[];
    /**
     * No parity was left to confirm it: it may well be wrong.
     */
    unverified: boolean;
}

/**
 * A text as the input field should show it.
 */
export interface FormattedCode {
    /**
     * Grouped, upper case; characters that cannot be part of a code stay, so that they can be marked.
     */
    text: string;
    /**
     * Where the caret belongs in `text`, in UTF-16 units.
     */
    caret: number;
    /**
     * Symbols typed so far, wrong and unreadable ones included.
     */
    symbols: number;
    /**
     * As many symbols as the profile asks for.
     */
    complete: boolean;
    /**
     * What the first symbol asks for, where it says.
     */
    profile?: "S20" | "S16" | "S25";
}

/**
 * What a check found: the fields of a code, or where the text stops being one.
 */
export type CheckedCode = { ok: true; profile: "S20" | "S16" | "S25"; epoch: number; campaign: number; serial: number; canonical: string } | { ok: false; reason: string; position?: number };


/**
 * Checks whether a text is a code exactly as it stands, apart from case, separators and look-alikes.
 *
 * # Errors
 * As [`format_code`]. A text that is no code is an answer (`ok: false`), not an error.
 */
export function check_code(text: string): CheckedCode;

/**
 * Groups what has been typed so far. `caret` is in UTF-16 units, as inputs count, and comes back where the
 * person left it.
 *
 * # Errors
 * Only when the answer cannot be made into a JavaScript value: an `Error` with `name` and `code`.
 */
export function format_code(text: string, caret: number): FormattedCode;

/**
 * The code that was probably meant, when a typing error explains the text. With `typing`, a text that is
 * only too short so far gets none.
 *
 * # Errors
 * As [`format_code`].
 */
export function suggest_code(text: string, typing: boolean): Suggestion | undefined;

export type InitInput = RequestInfo | URL | Response | BufferSource | WebAssembly.Module;

export interface InitOutput {
    readonly memory: WebAssembly.Memory;
    readonly check_code: (a: number, b: number) => [number, number, number];
    readonly format_code: (a: number, b: number, c: number) => [number, number, number];
    readonly suggest_code: (a: number, b: number, c: number) => [number, number, number];
    readonly __wbindgen_exn_store: (a: number) => void;
    readonly __externref_table_alloc: () => number;
    readonly __wbindgen_externrefs: WebAssembly.Table;
    readonly __wbindgen_malloc: (a: number, b: number) => number;
    readonly __wbindgen_realloc: (a: number, b: number, c: number, d: number) => number;
    readonly __wbindgen_free: (a: number, b: number, c: number) => void;
    readonly __externref_table_dealloc: (a: number) => void;
    readonly __wbindgen_start: () => void;
}

export type SyncInitInput = BufferSource | WebAssembly.Module;

/**
 * Instantiates the given `module`, which can either be bytes or
 * a precompiled `WebAssembly.Module`.
 *
 * @param {{ module: SyncInitInput }} module - Passing `SyncInitInput` directly is deprecated.
 *
 * @returns {InitOutput}
 */
export function initSync(module: { module: SyncInitInput } | SyncInitInput): InitOutput;

/**
 * If `module_or_path` is {RequestInfo} or {URL}, makes a request and
 * for everything else, calls `WebAssembly.instantiate` directly.
 *
 * @param {{ module_or_path: InitInput | Promise<InitInput> }} module_or_path - Passing `InitInput` directly is deprecated.
 *
 * @returns {Promise<InitOutput>}
 */
export default function __wbg_init (module_or_path: { module_or_path: InitInput | Promise<InitInput> } | InitInput | Promise<InitInput>): Promise<InitOutput>;
