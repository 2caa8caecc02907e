// Node: the WebAssembly is read from the package at the first use, at once; ready() may be left out.

import { readFileSync } from "node:fs";

import { useLoader } from "./code.js";

const read = () => readFileSync(new URL("./counterfoil.wasm", import.meta.url));
useLoader({ load: async () => read(), loadSync: read });

export * from "./index.js";
