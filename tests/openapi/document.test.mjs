// The document itself: valid, checked in as it is generated (see the step `generated`), and served.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import http from "node:http";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { validate } from "@hyperjump/json-schema/openapi-3-1";

import { root } from "../../edge/dev/paths.mjs";
import { startEdge } from "../http/env.mjs";
import { api } from "./conformance.mjs";

const file = (name) => readFileSync(join(root, "edge", "assets", name), "utf8");

/** One request, as it is: no body is unpacked, no redirect is followed. */
function ask(url, method, path, headers = {}) {
  return new Promise((resolve, reject) => {
    const request = http.request(new URL(path, url), { method, headers }, (response) => {
      const parts = [];
      response.on("data", (part) => parts.push(part));
      response.on("end", () => resolve({ status: response.statusCode, headers: response.headers, text: Buffer.concat(parts).toString() }));
    });
    request.on("error", reject);
    request.end();
  });
}

test("is valid OpenAPI 3.1 by the published schema of the specification", async () => {
  const output = await validate("https://spec.openapis.org/oas/3.1/schema-base", api, "BASIC");
  assert.deepEqual(output.errors ?? [], []);
  assert.equal(output.valid, true);
});

test("its examples are what it describes", async () => {
  const { default: Ajv2020 } = await import("ajv/dist/2020.js");
  const { default: addFormats } = await import("ajv-formats");
  const ajv = addFormats(new Ajv2020({ strict: false, allErrors: true }));
  ajv.addSchema({ $id: "api", ...api });
  const at = (key) => encodeURIComponent(key.replaceAll("~", "~0").replaceAll("/", "~1"));
  let examples = 0;
  for (const [path, item] of Object.entries(api.paths)) {
    for (const [method, { requestBody }] of Object.entries(item)) {
      for (const [type, content] of Object.entries(requestBody?.content ?? {})) {
        const check = ajv.compile({ $ref: `api#/paths/${at(path)}/${method}/requestBody/content/${at(type)}/schema` });
        for (const [name, { value }] of Object.entries(content.examples ?? {})) {
          examples += 1;
          assert.ok(check(value), `${method} ${path}, ${name}: ${ajv.errorsText(check.errors)}`);
        }
      }
    }
  }
  assert.ok(examples > 40);
});

describe("served beside the API", () => {
  let edge;
  before(async () => {
    edge = await startEdge();
  });
  after(() => edge?.dispose());

  test("/openapi.json is the document", async () => {
    const answer = await ask(edge.url, "GET", "/openapi.json");
    assert.equal(answer.status, 200);
    assert.match(answer.headers["content-type"], /^application\/json/);
    assert.deepEqual(JSON.parse(answer.text), api);
    assert.ok(answer.headers["cache-control"]);
    const known = await ask(edge.url, "GET", "/openapi.json", { "if-none-match": answer.headers.etag });
    assert.deepEqual([known.status, known.text], [304, ""]);
  });

  test("/docs is a page that asks nobody else", async () => {
    const answer = await ask(edge.url, "GET", "/docs");
    assert.equal(answer.status, 200);
    assert.match(answer.headers["content-type"], /^text\/html/);
    assert.match(answer.headers["content-security-policy"], /default-src 'none'/);
    assert.equal(answer.text, file("docs.html"));
    for (const name of ["docs.html", "docs.css", "docs.js"]) assert.doesNotMatch(file(name), /https?:\/\//, name);
    for (const [path, type] of [["/docs.js", /javascript/], ["/docs.css", /text\/css/]]) {
      assert.match((await ask(edge.url, "GET", path)).headers["content-type"], type);
    }
  });

  test("HEAD answers as GET does, without the body; nothing else is answered", async () => {
    for (const path of ["/openapi.json", "/docs"]) {
      const head = await ask(edge.url, "HEAD", path);
      assert.deepEqual([head.status, head.text], [200, ""]);
      assert.ok(head.headers.etag);
      for (const method of ["POST", "PUT", "PATCH", "DELETE"]) assert.equal((await ask(edge.url, method, path)).status, 405, `${method} ${path}`);
    }
  });

  test("methods that nobody described are not answered, however they are called", async () => {
    for (const method of ["PROPFIND", "SEARCH", "REPORT", "LOCK", "HEAD"]) {
      const answer = await ask(edge.url, method, "/v1/wallet");
      assert.equal(answer.status, 405, method);
      assert.match(answer.headers.allow, /^GET\b/, method);
    }
  });

  test("what is no asset is the Worker's to answer", async () => {
    for (const path of ["/", "/nowhere", "/v1/docs", "/v1/openapi.json", "/_headers"]) {
      const answer = await ask(edge.url, "GET", path);
      assert.equal(answer.status, 404, path);
      assert.equal(JSON.parse(answer.text).code, "not_found", path);
    }
  });
});
