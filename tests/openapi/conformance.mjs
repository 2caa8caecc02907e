// Holds answers, and what was sent for them, against the OpenAPI document. Stricter than the document is towards clients:
// an answer has no field that is not described.
import { readFileSync } from "node:fs";
import { join } from "node:path";

import addFormats from "ajv-formats";
import Ajv2020 from "ajv/dist/2020.js";

import { root } from "../../edge/dev/paths.mjs";

/** The document as it is checked in. */
export const api = JSON.parse(readFileSync(join(root, "edge", "assets", "openapi.json"), "utf8"));

/** The same with its answers' objects closed. */
function closed(node) {
  if (Array.isArray(node)) return node.map(closed);
  if (node === null || typeof node !== "object") return node;
  const inner = Object.fromEntries(Object.entries(node).map(([key, value]) => [key, closed(value)]));
  const plain = inner.type === "object" && inner.properties && inner.additionalProperties === undefined;
  return plain ? { ...inner, additionalProperties: false } : inner;
}

const ajv = new Ajv2020({ strict: false, allErrors: true, validateFormats: true });
addFormats(ajv);
ajv.addSchema({ $id: "open", ...api });
ajv.addSchema({ $id: "closed", ...closed(api) });

const resolved = (node) => (node?.$ref === undefined ? node : node.$ref.slice(2).split("/").reduce((at, key) => at[key], api));

/** Every path as a pattern; those without parameters in a segment come before those with. */
const paths = Object.entries(api.paths)
  .map(([template, item]) => ({
    template,
    item,
    pattern: new RegExp(`^${template.replaceAll(/[.]/g, "\\.").replaceAll(/\{[^}]+\}/g, "[^/]+")}$`),
    parameters: template.split("{").length - 1,
  }))
  .sort((a, b) => a.parameters - b.parameters);

/** The operation of a request, with the place of its parts in the document. */
export function operationOf(method, path) {
  const [bare] = path.split("?");
  const found = paths.find(({ pattern }) => pattern.test(bare));
  const operation = found?.item[method.toLowerCase()];
  return operation && { ...found, operation, pointer: `#/paths/${escape(found.template)}/${method.toLowerCase()}` };
}

const escape = (key) => encodeURIComponent(key.replaceAll("~", "~0").replaceAll("/", "~1"));

const validators = new Map();

function validator(document, pointer) {
  const key = `${document}${pointer}`;
  if (!validators.has(key)) validators.set(key, ajv.compile({ $ref: key }));
  return validators.get(key);
}

const said = (errors) =>
  errors.slice(0, 4).map(({ instancePath, message, params }) => `${instancePath || "/"} ${message} ${JSON.stringify(params)}`).join("; ");

/** Where the schema of a response's content stands. */
function contentAt(found, status, response, type) {
  const declared = found.operation.responses[status];
  const at = declared.$ref ?? `${found.pointer}/responses/${status}`;
  return response.content?.[type] && `${at}/content/${escape(type)}/schema`;
}

/**
 * What is wrong with an answer by its description; undefined where nothing is. With OPENAPI_CHECK=report it is written
 * to standard error instead, for a list of all differences at once.
 */
export function wrongAnswer(answer) {
  const wrong = wrongIn(answer);
  if (process.env.OPENAPI_CHECK !== "report" || wrong === undefined) return wrong;
  console.error(`openapi: ${answer.method} ${operationOf(answer.method, answer.path)?.template} ${answer.status}: ${wrong}`);
  return undefined;
}

function wrongIn({ method, path, status, headers, text, body, sent }) {
  const found = operationOf(method, path);
  // Paths and methods that are not described are answered so; those for development are described nowhere.
  if (path.startsWith("/dev/")) return undefined;
  if (!found) return status === 404 || status === 405 ? undefined : "there is no such operation";
  const response = resolved(found.operation.responses[status]);
  if (!response) return `${status} is no answer of ${found.operation.operationId}`;
  const type = headers["content-type"]?.split(";")[0];
  if (type === undefined) {
    if (response.content !== undefined) return "there is no body";
  } else {
    const at = contentAt(found, status, response, type);
    if (!at) return `${type} is not what ${status} is described with`;
    if (body !== undefined) {
      const validate = validator("closed", at);
      if (!validate(body)) return said(validate.errors);
    }
  }
  for (const [name, header] of Object.entries(response.headers ?? {})) {
    if (resolved(header).required && headers[name.toLowerCase()] === undefined) return `there is no header ${name}`;
  }
  return status < 300 ? wrongRequest(found, path, sent) : undefined;
}

/** What is wrong with a request that was accepted all the same. */
function wrongRequest(found, path, sent) {
  const known = (found.operation.parameters ?? []).map(resolved).filter((parameter) => parameter.in === "query");
  for (const name of new URLSearchParams(path.split("?")[1] ?? "").keys()) {
    if (!known.some((parameter) => parameter.name === name)) return `the query parameter ${name} is not described`;
  }
  if (sent === undefined || sent === null || typeof sent !== "object" || Buffer.isBuffer(sent)) return undefined;
  if (!found.operation.requestBody) return Object.keys(sent).length === 0 ? undefined : "no body is described";
  const [type] = Object.keys(found.operation.requestBody.content);
  const validate = validator("open", `${found.pointer}/requestBody/content/${escape(type)}/schema`);
  return validate(sent) ? undefined : `the body was accepted, though it is described otherwise: ${said(validate.errors)}`;
}
