// The Worker of the benchmark. Each path does its work `times` times and answers how many came out right.
import { SignJWT, createSigner, createVerifier, jwtVerify } from "./peers.mjs";
import { Bench, initSync, key_press, two_compressions } from "./module.js";
import wasm from "./module_bg.wasm";

initSync({ module: wasm });

const benches = new Map();
const bench = (profile) => {
  if (!benches.has(profile)) benches.set(profile, new Bench(profile));
  return benches.get(profile);
};

const SECRET = new Uint8Array(32).fill(0x5a);
const MESSAGES = 256;

const once = (make) => {
  let made;
  return () => (made ??= make());
};

/** The tag's own message of eight bytes with its whole HMAC, as a Worker without a code format would check it. */
const signed = once(async () => {
  const key = await crypto.subtle.importKey("raw", SECRET, { name: "HMAC", hash: "SHA-256" }, false, ["sign", "verify"]);
  const messages = Array.from({ length: MESSAGES }, (_, at) => new Uint8Array([0, 0, 0, 1, 0, 0, at >> 8, at & 255]));
  const signatures = await Promise.all(messages.map((message) => crypto.subtle.sign("HMAC", key, message)));
  return { key, messages, signatures };
});

const joseTokens = once(async () => {
  const key = await crypto.subtle.importKey("raw", SECRET, { name: "HMAC", hash: "SHA-256" }, false, ["sign", "verify"]);
  const sign = (at) => new SignJWT({ campaign: 1, serial: at }).setProtectedHeader({ alg: "HS256" }).sign(key);
  return { key, tokens: await Promise.all(Array.from({ length: MESSAGES }, (_, at) => sign(at))) };
});

const fastTokens = once(() => {
  const sign = createSigner({ key: Buffer.from(SECRET), algorithm: "HS256", noTimestamp: true });
  const verify = createVerifier({ key: Buffer.from(SECRET), algorithms: ["HS256"], cache: false });
  return { verify, tokens: Array.from({ length: MESSAGES }, (_, at) => sign({ campaign: 1, serial: at })) };
});

const work = {
  text_to_tag: ({ profile, times }) => bench(profile).text_to_tag(times),
  text_to_parity: ({ profile, times }) => bench(profile).text_to_parity(times),
  text_to_seq: ({ profile, times }) => bench(profile).text_to_seq(times),
  tag: ({ profile, times }) => bench(profile).tag(times),
  mint: ({ profile, times }) => bench(profile).mint(times),
  two_compressions: ({ times }) => two_compressions(times),
  key_press: ({ text, times }) => key_press(text, times),
  async webcrypto({ times }) {
    const { key, messages, signatures } = await signed();
    let right = 0;
    for (let at = 0; at < times; at += 1) {
      if (await crypto.subtle.verify("HMAC", key, signatures[at % MESSAGES], messages[at % MESSAGES])) right += 1;
    }
    return right;
  },
  async jose({ times }) {
    const { key, tokens } = await joseTokens();
    let right = 0;
    for (let at = 0; at < times; at += 1) {
      const { payload } = await jwtVerify(tokens[at % MESSAGES], key, { algorithms: ["HS256"] });
      if (payload.serial === at % MESSAGES) right += 1;
    }
    return right;
  },
  fast_jwt({ times }) {
    const { verify, tokens } = fastTokens();
    let right = 0;
    for (let at = 0; at < times; at += 1) {
      if (verify(tokens[at % MESSAGES]).serial === at % MESSAGES) right += 1;
    }
    return right;
  },
};

export default {
  async fetch(request) {
    const { pathname, searchParams } = new URL(request.url);
    const named = Object.fromEntries(searchParams);
    return new Response(String(await work[pathname.slice(1)]({ ...named, times: Number(named.times) })));
  },
};
