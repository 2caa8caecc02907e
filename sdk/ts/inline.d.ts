// Made by scripts/build.mjs: the WebAssembly as text, for bundlers that leave the asset behind.
export default function inline(): ArrayBuffer;
