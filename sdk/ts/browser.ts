// Browsers and bundlers: the WebAssembly is an asset beside this file, fetched by ready().

import { useLoader } from "./code.js";

useLoader({
  async load() {
    try {
      // Written just so, because bundlers look for this form.
      const response = await fetch(new URL("./counterfoil.wasm", import.meta.url));
      const bytes = await response.arrayBuffer();
      if (response.ok && WebAssembly.validate(bytes)) return bytes;
    } catch {
      // Falls through to the copy below.
    }
    // A bundler that moved this file without the asset (a dev server's pre-bundling may): a copy as text.
    return (await import("./inline.js")).default();
  },
});

export * from "./index.js";
