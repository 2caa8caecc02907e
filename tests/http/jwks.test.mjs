// Tokens signed with public keys: which are accepted, every way to forge one, and where the keys come from.
import assert from "node:assert/strict";
import { createPublicKey } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { Client, expectProblem, expectStatus, send, understood, until } from "./client.mjs";
import { claimsOf, edgeForThisFile, signToken, startEdge, testVars, unique } from "./env.mjs";
import { answers, base64url, breaksOff, issuerKey, isSilent, openIssuer, setOf, signature } from "./issuer.mjs";
import { openFeed, openSocket } from "./socket.mjs";

const seconds = () => Math.floor(Date.now() / 1000);
const member = (claims = {}) => ({ sub: "ann", merchant: "acme", ...claims });
const addressOf = ({ url }) => url.toString().replace(/\/$/, "");
const call = (url, token, path = "/v1/wallet") => new Client(url, token).get(path);
const accepted = async (url, token, path) => expectStatus(await call(url, token, path), 200);
const refused = async (url, token) => expectProblem(await call(url, token), 401, "invalid_token");

const rsa = issuerKey("RS256");
const ec = issuerKey("ES256");
const ed = issuerKey("EdDSA");
const every = [rsa, ec, ed];

describe("a set in the settings", () => {
  const edge = edgeForThisFile({ vars: { JWKS: JSON.stringify(setOf(...every)) } });
  const strict = edgeForThisFile({ vars: { JWKS: JSON.stringify(setOf(...every)), JWT_SECRET: "", JWT_ISSUER: "https://issuer.example", JWT_AUDIENCE: "counterfoil" } });

  for (const key of every) {
    test(`${key.alg} is accepted, by kid and as the only key of its kind`, async () => {
      await accepted(edge.url, key.token(member()));
      await accepted(edge.url, key.token(member(), { header: { alg: key.alg } }));
      const merchant = unique("t-");
      await accepted(edge.url, key.token({ sub: "boss", merchant, role: "admin" }), "/v1/campaigns");
      expectProblem(await call(edge.url, key.token({ sub: "bob", merchant }), "/v1/campaigns"), 403, "forbidden");
    });

    test(`${key.alg} opens the live feed as a subprotocol`, async () => {
      const socket = await openFeed(edge.url, key.token(member()));
      socket.close();
      const { refused: no } = await openSocket(edge.url, "/v1/events", { protocols: ["counterfoil.v1", `bearer.${key.token(member({ exp: seconds() - 61 }))}`] });
      assert.equal(no.status, 401);
    });
  }

  test("the shared secret goes on beside it", async () => {
    await accepted(edge.url, signToken(member()));
    await accepted(edge.url, signToken(member(), { header: { alg: "HS256", kid: "anything" } }));
  });

  test("without a shared secret nothing is signed with one", async () => {
    const good = { ...member(), iss: "https://issuer.example", aud: "counterfoil" };
    await accepted(strict.url, rsa.token(good));
    for (const secret of [testVars.JWT_SECRET, "", " ", "undefined", "null"]) await refused(strict.url, signToken(good, { secret }));
  });

  test("issuer and audience are asked of every algorithm", async () => {
    const good = { ...member(), iss: "https://issuer.example", aud: "counterfoil" };
    for (const key of every) {
      await accepted(strict.url, key.token({ ...good, aud: ["other", "counterfoil"] }));
      for (const change of [{ iss: undefined }, { iss: "https://issuer.example/" }, { aud: undefined }, { aud: "other" }, { aud: [] }]) await refused(strict.url, key.token({ ...good, ...change }));
    }
  });

  test("times have a leeway of 60 s, whatever signs", async () => {
    for (const key of every) {
      for (const claims of [{ exp: seconds() - 30 }, { nbf: seconds() + 30 }, { iat: seconds() + 30 }]) await accepted(edge.url, key.token(member(claims)));
      for (const claims of [{ exp: seconds() - 62 }, { exp: 0 }, { exp: undefined }, { exp: "9999999999" }, { nbf: seconds() + 120 }, { iat: seconds() + 120 }]) {
        await refused(edge.url, key.token(member(claims)));
      }
    }
  });

  test("claims and headers that say a thing twice", async () => {
    const claims = (text) => `{"sub":"ann","merchant":"acme","exp":${seconds() + 600}${text}}`;
    await accepted(edge.url, rsa.token(claims("")));
    for (const text of [',"sub":"bob"', ',"merchant":"other"', ',"role":"member","role":"admin"', ',"exp":9999999999']) await refused(edge.url, rsa.token(claims(text)));
    const { kid } = rsa;
    for (const header of [`{"alg":"RS256","alg":"RS256","kid":"${kid}"}`, `{"alg":"none","alg":"RS256","kid":"${kid}"}`, `{"alg":"RS256","kid":"${kid}","kid":"${kid}"}`]) {
      await refused(edge.url, rsa.token(member(), { header }));
    }
  });

  describe("forgeries", () => {
    const claims = { sub: "ann", merchant: "acme", role: "admin" };
    const confused = (secret, header) => signToken(claims, { header: { alg: "HS256", typ: "JWT", ...header }, secret });
    const texts = ({ publicKey, jwk }) => [
      ["its PEM", publicKey.export({ type: "spki", format: "pem" })],
      ["its PEM without the last line end", publicKey.export({ type: "spki", format: "pem" }).trimEnd()],
      ["its DER", publicKey.export({ type: "spki", format: "der" })],
      ["its JWK", JSON.stringify(jwk)],
      ["its bare JWK", JSON.stringify(publicKey.export({ format: "jwk" }))],
      ["its coordinates in text", jwk.n ?? jwk.x],
      ["its coordinates", Buffer.from(jwk.n ?? jwk.x, "base64url")],
    ];

    for (const key of every) {
      test(`key confusion: ${key.alg}'s public key as the secret of an HMAC`, async () => {
        for (const [name, secret] of texts(key)) {
          for (const header of [{ kid: key.kid }, {}, { kid: "other" }]) {
            assert.equal((await call(edge.url, confused(secret, header))).status, 401, `${name} ${JSON.stringify(header)}`);
          }
        }
        // Not even the true secret signs in the name of a public key.
        await refused(edge.url, signToken(claims, { header: { alg: "HS256", kid: key.kid } }));
      });

      test(`${key.alg}: no signature, another one, or one over other bytes`, async () => {
        const good = key.token(claims);
        await accepted(edge.url, good, "/v1/campaigns");
        const [header, payload, signed] = good.split(".");
        const other = base64url(claimsOf({ ...claims, sub: "mallory" }));
        const bytes = Buffer.from(signed, "base64url");
        const flipped = Buffer.from(bytes.map((byte, at) => (at === bytes.length - 1 ? byte ^ 1 : byte)));
        const headers = (fields) => base64url({ alg: key.alg, typ: "JWT", kid: key.kid, ...fields });
        for (const [name, token] of [
          ["other claims", `${header}.${other}.${signed}`],
          ["another header", `${headers({ typ: "at+jwt" })}.${payload}.${signed}`],
          ["a flipped bit", `${header}.${payload}.${base64url(flipped)}`],
          ["cut", `${header}.${payload}.${base64url(bytes.subarray(0, -1))}`],
          ["lengthened", `${header}.${payload}.${base64url(Buffer.concat([bytes, Buffer.alloc(1)]))}`],
          ["nothing", `${header}.${payload}.`],
          ["zeros", `${header}.${payload}.${base64url(Buffer.alloc(bytes.length))}`],
          ["ones", `${header}.${payload}.${base64url(Buffer.alloc(bytes.length, 255))}`],
          ["with padding", `${good}=`],
          ["in another alphabet", `${header}.${payload}.${Buffer.from(bytes).toString("base64")}`],
          ["none", `${base64url({ alg: "none" })}.${payload}.`],
          ["none by kid", `${headers({ alg: "none" })}.${payload}.`],
          ["None", `${headers({ alg: "None" })}.${payload}.${signed}`],
          ["no alg", `${base64url({ typ: "JWT", kid: key.kid })}.${payload}.${signed}`],
          ["another of its kind", issuerKey(key.alg, { kid: key.kid }).token(claims)],
          ["an unknown kid", key.token(claims, { header: { alg: key.alg, kid: "nobody" } })],
          ["an empty kid", key.token(claims, { header: { alg: key.alg, kid: "" } })],
          ["a kid in a list", key.token(claims, { header: { alg: key.alg, kid: [key.kid] } })],
          ["a kid that is a path", key.token(claims, { header: { alg: key.alg, kid: "../../../dev/null" } })],
          ["a kid that is a statement", key.token(claims, { header: { alg: key.alg, kid: "' UNION SELECT 'x" } })],
          ["a critical extension", key.token(claims, { header: { alg: key.alg, kid: key.kid, crit: ["b64"], b64: false } })],
        ]) {
          assert.equal((await call(edge.url, token, "/v1/campaigns")).status, 401, name);
        }
      });

      test(`${key.alg}: the name of another key, or of another algorithm`, async () => {
        for (const other of every.filter(({ alg }) => alg !== key.alg)) {
          await refused(edge.url, key.token(claims, { header: { alg: key.alg, kid: other.kid } }));
          await refused(edge.url, key.token(claims, { header: { alg: other.alg, kid: key.kid } }));
          await refused(edge.url, key.token(claims, { header: { alg: other.alg, kid: other.kid } }));
          await refused(edge.url, key.token(claims, { header: { alg: other.alg } }));
        }
        for (const alg of ["RS384", "RS512", "PS256", "ES384", "ES512", "ES256K", "Ed448", key.alg.toLowerCase(), `${key.alg} `, ""]) {
          await refused(edge.url, key.token(claims, { header: { alg, kid: key.kid } }));
        }
      });

      test(`${key.alg}: a key that the token brings along is nobody's`, async () => {
        const own = issuerKey(key.alg);
        const trap = await openIssuer(setOf(own));
        try {
          for (const fields of [{ jwk: own.jwk }, { jku: trap.url, kid: own.kid }, { x5u: trap.url }, { jku: trap.url, kid: key.kid }, { jwk: own.jwk, kid: key.kid }, { x5c: [own.publicKey.export({ type: "spki", format: "der" }).toString("base64")] }]) {
            await refused(edge.url, own.token(claims, { header: { alg: key.alg, ...fields } }));
          }
          assert.equal(trap.asked, 0, "and nobody asks where it points");
        } finally {
          await trap.close();
        }
      });
    }

    test("wrong curves, wrong hashes, wrong spellings", async () => {
      for (const alg of ["ES384", "ES256K"]) {
        const wrong = issuerKey(alg);
        await refused(edge.url, wrong.token(claims, { header: { alg: "ES256", kid: ec.kid } }));
      }
      for (const hash of ["sha1", "sha384", "sha512"]) {
        await refused(edge.url, rsa.token(claims, { hash }));
        await refused(edge.url, ec.token(claims, { hash }));
      }
      // The spelling of certificates, in which a signature of P-256 has 70 to 72 bytes.
      const { sign } = await import("node:crypto");
      const text = `${base64url({ alg: "ES256", kid: ec.kid })}.${base64url(claimsOf(claims))}`;
      await refused(edge.url, `${text}.${base64url(sign("sha256", Buffer.from(text), ec.privateKey))}`);
      // Ed25519 signs the text itself, not its hash.
      const { createHash } = await import("node:crypto");
      const hashed = `${base64url({ alg: "EdDSA", kid: ed.kid })}.${base64url(claimsOf(claims))}`;
      await refused(edge.url, `${hashed}.${base64url(signature("EdDSA", ed.privateKey, createHash("sha512").update(hashed).digest()))}`);
    });
  });
});

describe("sets with several keys of a kind", () => {
  const [first, second, unnamed, other] = [issuerKey("RS256"), issuerKey("RS256"), issuerKey("ES256", { kid: null }), issuerKey("ES384")];
  const offCurve = { ...issuerKey("ES256").jwk, kid: "off", y: Buffer.alloc(32, 7).toString("base64url") };
  const forEncryption = { ...issuerKey("RS256", { kid: "enc" }).jwk, alg: "RSA-OAEP", use: "enc" };
  const set = { keys: [first.jwk, forEncryption, second.jwk, unnamed.jwk, other.jwk, offCurve, { kty: "future", kid: "f" }] };
  const edge = edgeForThisFile({ vars: { JWKS: JSON.stringify(set) } });

  test("each is found by its kid, and none is guessed", async () => {
    for (const key of [first, second]) {
      await accepted(edge.url, key.token(member()));
      await refused(edge.url, key.token(member(), { header: { alg: "RS256" } }));
    }
    await refused(edge.url, first.token(member(), { header: { alg: "RS256", kid: second.kid } }));
  });

  test("keys for other things verify nothing", async () => {
    await refused(edge.url, other.token(member()));
    await refused(edge.url, issuerKey("RS256", { kid: "enc" }).token(member()));
    await refused(edge.url, unnamed.token(member(), { header: { alg: "ES256", kid: "f" } }));
  });

  test("a point that is on no curve is no key, and no failure", async () => {
    assert.throws(() => createPublicKey({ key: offCurve, format: "jwk" }));
    await refused(edge.url, unnamed.token(member(), { header: { alg: "ES256", kid: "off" } }));
    // There are two of P-256 in the set, so a token without kid means neither.
    await refused(edge.url, unnamed.token(member(), { header: { alg: "ES256" } }));
  });
});

describe("a set that is fetched", () => {
  const open = async (respond, vars = {}) => {
    const issuer = await openIssuer(setOf(rsa));
    if (respond) issuer.respond = respond;
    const settings = { JWKS_URL: issuer.url, ALLOW_PRIVATE_TARGETS: "1", ...vars };
    const running = await startEdge({ vars: settings }).catch(async (error) => {
      await issuer.close();
      throw error;
    });
    return { issuer, url: addressOf(running), close: () => Promise.all([running.dispose(), issuer.close()]) };
  };

  /** Runs a test with an issuer and an edge of its own. */
  const withIssuer = (name, respond, act, vars) =>
    test(name, async () => {
      const one = await open(respond, vars);
      try {
        await act(one);
      } finally {
        await one.close();
      }
    });

  withIssuer("is fetched once for many calls, those that come together among them", undefined, async ({ issuer, url }) => {
    const answered = await Promise.all(Array.from({ length: 12 }, () => call(url, rsa.token(member()))));
    assert.deepEqual(answered.map(({ status }) => status), Array(12).fill(200));
    await accepted(url, rsa.token(member(), { header: { alg: "RS256" } }));
    assert.equal(issuer.asked, 1);
  });

  withIssuer("is not asked about tokens of the shared secret, nor about what is no token", undefined, async ({ issuer, url }) => {
    await accepted(url, signToken(member()));
    for (const token of ["", "a.b.c", signToken(member(), { header: { alg: "none" } }), `${rsa.token(member())}.x`]) await refused(url, token);
    assert.equal(issuer.asked, 0);
  });

  withIssuer("may change at any time, and made-up names cost one fetch", undefined, async ({ issuer, url }) => {
    await accepted(url, rsa.token(member()));
    const next = issuerKey("ES256");
    issuer.publish(setOf(rsa, next));
    const answered = await Promise.all([...Array.from({ length: 8 }, () => call(url, next.token(member()))), call(url, rsa.token(member()))]);
    assert.deepEqual(answered.map(({ status }) => status), Array(9).fill(200), "nobody is turned away meanwhile");
    assert.equal(issuer.asked, 2);
    for (let n = 0; n < 10; n += 1) await refused(url, next.token(member(), { header: { alg: "ES256", kid: unique("made-up-") } }));
    assert.equal(issuer.asked, 2);
  });

  withIssuer("a former key that is no longer published verifies nothing", undefined, async ({ issuer, url }) => {
    await accepted(url, rsa.token(member()));
    const next = issuerKey("EdDSA");
    issuer.publish(setOf(next));
    await accepted(url, next.token(member()));
    await refused(url, rsa.token(member()));
  });

  const failures = [
    ["is down", answers(500)],
    ["answers with nonsense", answers(200, "<html>")],
    ["answers with too much", (_request, response) => response.end(JSON.stringify({ ...setOf(issuerKey("ES256")), padding: "x".repeat(70_000) }))],
    ["breaks off", breaksOff],
    ["publishes its private key", (request, response) => answers(200, JSON.stringify({ keys: [issuerKey("ES256").privateJwk] }))(request, response)],
    ["publishes no key", answers(200, '{"keys":[]}')],
  ];
  for (const [name, respond] of failures) {
    withIssuer(`known keys stay when the issuer ${name}`, undefined, async ({ issuer, url }) => {
      await accepted(url, rsa.token(member()));
      issuer.respond = respond;
      await refused(url, rsa.token(member(), { header: { alg: "RS256", kid: "missing" } }));
      assert.ok(issuer.asked >= 2);
      await accepted(url, rsa.token(member()));
    });

    withIssuer(`nobody is told their token is bad while the issuer ${name}, and all is well afterwards`, respond, async ({ issuer, url }) => {
      const answer = await call(url, rsa.token(member()));
      expectProblem(answer, 503, "overloaded");
      await accepted(url, signToken(member()));
      issuer.publish(setOf(rsa));
      await until(() => call(url, rsa.token(member())), ({ status }) => status === 200, 15_000);
    });
  }

  withIssuer("an issuer that says nothing is not waited for without end", isSilent, async ({ url }) => {
    expectProblem(await call(url, rsa.token(member())), 503, "overloaded");
    await accepted(url, signToken(member()));
  });

  withIssuer("a redirect is not followed", (request, response) => (request.url === "/set" ? answers(200, JSON.stringify(setOf(rsa))) : answers(302, "", { location: "/set" }))(request, response), async ({ issuer, url }) => {
    expectProblem(await call(url, rsa.token(member())), 503, "overloaded");
    assert.ok(!issuer.requests.includes("/set"), issuer.requests.join());
  });
});

describe("settings that cannot be meant", () => {
  const inline = (...keys) => JSON.stringify({ keys });
  const nobody = { JWT_SECRET: "" };
  const cases = [
    ["no key at all", nobody],
    ["a set and an address", { JWKS: inline(rsa.jwk), JWKS_URL: "https://issuer.example/jwks.json" }],
    ["a set that is not JSON", { JWKS: "{" }],
    ["a key outside a set", { JWKS: JSON.stringify(rsa.jwk) }],
    ["an empty set", { JWKS: inline() }],
    ["a private RSA key", { JWKS: inline(rsa.privateJwk) }],
    ["a private EC key", { JWKS: inline(ec.privateJwk) }],
    ["a private Ed25519 key beside a good one", { JWKS: inline(rsa.jwk, ed.privateJwk) }],
    ["a shared secret in the set", { JWKS: inline(rsa.jwk, { kty: "oct", k: base64url(testVars.JWT_SECRET), alg: "HS256" }) }],
    ["an RSA key of 1024 bits", { JWKS: inline(issuerKey("RS256", { bits: 1024 }).jwk) }],
    ["a key that says two things of itself", { JWKS: inline({ ...rsa.jwk, alg: "ES256" }) }],
    ["an RSA key that claims to be a secret", { JWKS: inline({ ...rsa.jwk, alg: "HS256" }) }],
    ["two keys of one name", { JWKS: inline(rsa.jwk, { ...ec.jwk, kid: rsa.kid }) }],
    ["nothing that verifies", { JWKS: inline({ ...rsa.jwk, use: "enc" }) }],
    ["an address over http", { JWKS_URL: "http://issuer.example/jwks.json" }],
    ["an address of this machine", { JWKS_URL: "https://127.0.0.1/jwks.json" }],
    ["a private name", { JWKS_URL: "https://issuer.internal/jwks.json" }],
    ["an address with a password", { JWKS_URL: "https://user:pass@issuer.example/jwks.json" }],
    ["no address", { JWKS_URL: "jwks.json" }],
  ];
  for (const [name, vars] of cases) {
    test(`${name}: nothing is served, and nothing of it is told`, async () => {
      const running = await startEdge({ vars });
      try {
        const url = addressOf(running);
        for (const token of [signToken(member()), rsa.token(member())]) {
          const answer = understood(await send(url, { path: "/v1/wallet", headers: { authorization: `Bearer ${token}` } }));
          assert.ok([500, 503].includes(answer.status), `${answer.status} ${answer.text}`);
          for (const [, secret] of Object.entries({ ...testVars, ...vars }).filter(([, text]) => text.length >= 16)) assert.ok(!answer.text.includes(secret));
          assert.doesNotMatch(answer.text, /"d"|issuer\.|pass@/);
        }
      } finally {
        await running.dispose();
      }
    });
  }
});

describe("development tokens", () => {
  let running;
  before(async () => {
    running = await startEdge({ build: "dev", vars: { JWKS: JSON.stringify(setOf(...every)) } });
  });
  after(() => running?.dispose());

  test("are signed with the shared secret, beside a set", async () => {
    const url = addressOf(running);
    const { token } = expectStatus(await new Client(url).post("/dev/token", { sub: "ann" }), 200);
    await accepted(url, token);
    await accepted(url, ed.token(member()));
  });
});
