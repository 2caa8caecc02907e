// The code format, in WebAssembly: formatting while typing, checking, suggesting. No network.

import * as wasm from "../generated/counterfoil_sdk.js";
import type { CheckedCode, FormattedCode, Suggestion } from "../generated/counterfoil_sdk.js";
import { CounterfoilError } from "./errors.js";

export type { FormattedCode, Suggestion };

/** A code as it is checked here: well formed is not genuine; only the edge can tell that. */
export type CodeCheck =
  | Extract<CheckedCode, { ok: true }>
  | (Extract<CheckedCode, { ok: false }> & {
      /** Best first. To be shown, with `changed` marked, and used only when the person accepts it. */
      suggestions: Suggestion[];
    });

/** How an environment gets at the WebAssembly; each entry file sets its own. */
export interface Loader {
  /** For environments that can wait. */
  load(): Promise<BufferSource | WebAssembly.Module>;
  /** For environments that can read a file at once. */
  loadSync?: () => BufferSource;
}

let loader: Loader | undefined;
let loading: Promise<void> | undefined;
let loaded = false;

export function useLoader(environment: Loader): void {
  loader = environment;
}

/** Loads the WebAssembly, once; after a failure the next call tries again. */
export function ready(): Promise<void> {
  loading ??= load().catch((cause: unknown) => {
    loading = undefined;
    throw new CounterfoilError("wasm_unavailable", "The code checker could not be loaded.", { cause, retryable: true });
  });
  return loading;
}

/** Whether `formatCode` and `checkCode` may be called. */
export function isReady(): boolean {
  return loaded || loader?.loadSync !== undefined;
}

/**
 * Groups what has been typed so far. `caret` counts UTF-16 units, as inputs do, and comes back where the
 * person left it between the symbols.
 */
export function formatCode(text: string, caret: number = text?.length): FormattedCode {
  needText(text, "formatCode");
  return wasm.format_code(text, Math.min(Math.max(0, Math.trunc(caret) || 0), text.length));
}

/**
 * Checks a code's form and finds the repair of a typing error. With `typing`, a text that is only too
 * short so far gets no suggestion.
 */
export function checkCode(text: string, { typing = false }: { typing?: boolean | undefined } = {}): CodeCheck {
  needText(text, "checkCode");
  const checked = wasm.check_code(text);
  if (checked.ok) return checked;
  const suggestion = wasm.suggest_code(text, typing);
  return { ...checked, suggestions: suggestion ? [suggestion] : [] };
}

async function load(): Promise<void> {
  if (loaded || !loader) return;
  // Compiled aside, put together at once: the glue's own loader, which can do much that is not needed, stays out.
  const source = await loader.load();
  wasm.initSync({ module: source instanceof WebAssembly.Module ? source : await WebAssembly.compile(source) });
  loaded = true;
}

function needText(text: unknown, name: string): void {
  if (typeof text !== "string") throw new CounterfoilError("invalid_argument", `${name}() needs a string.`);
  if (loaded) return;
  if (!loader?.loadSync) {
    throw new CounterfoilError("not_ready", `${name}() needs ready() first.`, { retryable: true });
  }
  wasm.initSync({ module: loader.loadSync() });
  loaded = true;
}
