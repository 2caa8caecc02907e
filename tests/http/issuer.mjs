// An issuer of tokens, written from RFC 7515 and 7517 with Node's own crypto: its keys, what it signs, and the place where it
// publishes them.
import { generateKeyPairSync, randomBytes, sign } from "node:crypto";
import http from "node:http";
import { claimsOf } from "./env.mjs";

export const base64url = (value) =>
  (Buffer.isBuffer(value) ? value : Buffer.from(typeof value === "string" ? value : JSON.stringify(value))).toString("base64url");

const KINDS = {
  RS256: () => generateKeyPairSync("rsa", { modulusLength: 2048 }),
  ES256: () => generateKeyPairSync("ec", { namedCurve: "P-256" }),
  ES384: () => generateKeyPairSync("ec", { namedCurve: "P-384" }),
  ES256K: () => generateKeyPairSync("ec", { namedCurve: "secp256k1" }),
  EdDSA: () => generateKeyPairSync("ed25519"),
};

/** The signature over a text, as JOSE spells it. */
export function signature(alg, privateKey, text, { hash = "sha256" } = {}) {
  const data = Buffer.from(text);
  if (alg === "EdDSA") return sign(null, data, privateKey);
  if (alg.startsWith("ES")) return sign(hash, data, { key: privateKey, dsaEncoding: "ieee-p1363" });
  return sign(hash, data, privateKey);
}

/** A key pair of an algorithm: what is published of it (`jwk`), and `token(claims)`. */
export function issuerKey(alg, { kid = `${alg}-${randomBytes(4).toString("hex")}`, bits } = {}) {
  const { publicKey, privateKey } = bits ? generateKeyPairSync("rsa", { modulusLength: bits }) : KINDS[alg]();
  const named = kid === undefined || kid === null ? {} : { kid };
  const key = {
    alg,
    kid: named.kid,
    publicKey,
    privateKey,
    jwk: { ...publicKey.export({ format: "jwk" }), ...named, alg, use: "sig" },
    privateJwk: { ...privateKey.export({ format: "jwk" }), ...named },
    /** A token signed with this key; the header, the hash and the signature can be replaced to make wrong ones. */
    token(claims, { header = { alg, typ: "JWT", ...named }, hash, change = (bytes) => bytes } = {}) {
      const signed = `${base64url(header)}.${base64url(typeof claims === "string" ? claims : claimsOf(claims))}`;
      return `${signed}.${base64url(change(signature(alg, privateKey, signed, { hash })))}`;
    },
  };
  return key;
}

export const setOf = (...keys) => ({ keys: keys.map(({ jwk }) => jwk) });

/** A place that publishes a set; what it answers can be replaced at any time, and it counts how often it was asked. */
export async function openIssuer(set) {
  const state = { respond: publishes(set), asked: 0, requests: [] };
  const sockets = new Set();
  const server = http.createServer((request, response) => {
    state.asked += 1;
    state.requests.push(request.url);
    state.respond(request, response);
  });
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  state.base = `http://127.0.0.1:${server.address().port}`;
  state.url = `${state.base}/.well-known/jwks.json`;
  state.publish = (next) => (state.respond = publishes(next));
  state.close = () => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  };
  return state;
}

const publishes = (set) => (_request, response) => {
  response.writeHead(200, { "content-type": "application/json" });
  response.end(typeof set === "string" ? set : JSON.stringify(set));
};

export const answers = (status, text = "", headers = {}) => (_request, response) => {
  response.writeHead(status, headers);
  response.end(text);
};

export const breaksOff = (request) => request.socket.destroy();
export const isSilent = () => {};
