// The OpenAPI document as a page. Everything comes from /openapi.json beside it, nothing from elsewhere.

const methods = ["get", "post", "put", "patch", "delete"];

/** An element with its properties and children; text is never read as markup. */
function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== undefined && child !== null));
  return element;
}

/** `code` and **strong** within a line. */
function inline(text) {
  return text.split(/(`[^`]+`|\*\*[^*]+\*\*)/).map((part) => {
    if (part.startsWith("`") && part.length > 1) return h("code", {}, part.slice(1, -1));
    if (part.startsWith("**")) return h("strong", {}, part.slice(2, -2));
    return part;
  });
}

/** Paragraphs and lists. */
function prose(text) {
  if (!text) return [];
  return text.split("\n\n").map((block) => {
    const lines = block.split("\n");
    if (lines.every((line) => line.startsWith("- "))) {
      return h("ul", {}, lines.map((line) => h("li", {}, inline(line.slice(2)))));
    }
    return h("p", {}, inline(block));
  });
}

/** Details that are made when they are first opened. */
function lazy(className, summary, make, props = {}) {
  const details = h("details", { class: className, ...props }, h("summary", {}, summary));
  details.addEventListener("toggle", () => {
    if (details.open && details.childElementCount === 1) details.append(make());
  });
  return details;
}

let api;

const target = (reference) => reference.slice(2).split("/").reduce((node, key) => node?.[key.replaceAll("~1", "/")], api);
const nameOf = (reference) => reference.split("/").at(-1);
const resolved = (node) => (node?.$ref === undefined ? node : { ...target(node.$ref), ...(node.description && { description: node.description }) });

/** What a schema takes, in a few words. */
function kind(schema) {
  if (schema === true || schema === undefined) return "anything";
  if (schema === false) return "absent";
  if (schema.$ref) return nameOf(schema.$ref);
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.length > 8 ? "one of several" : schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  for (const key of ["oneOf", "anyOf"]) {
    if (schema[key] && !schema.properties) return schema[key].map(kind).join(" | ");
  }
  if (schema.type === "array") return `list of ${kind(schema.items)}`;
  if (schema.type === "object" && typeof schema.additionalProperties === "object") return `map to ${kind(schema.additionalProperties)}`;
  return [schema.type].flat().join(" | ") || "anything";
}

/** Its bounds. */
function bounds(schema) {
  const parts = [];
  const range = (least, most, unit) => {
    if (schema[least] !== undefined && schema[most] !== undefined) parts.push(`${schema[least]} to ${schema[most]}${unit}`);
    else if (schema[least] !== undefined) parts.push(`from ${schema[least]}${unit}`);
    else if (schema[most] !== undefined) parts.push(`up to ${schema[most]}${unit}`);
  };
  range("minimum", "maximum", "");
  range("minLength", "maxLength", " characters");
  range("minItems", "maxItems", " entries");
  if (schema.format) parts.push(schema.format);
  if (schema.pattern && schema.pattern.length < 40) parts.push(schema.pattern);
  if (schema.default !== undefined) parts.push(`default ${JSON.stringify(schema.default)}`);
  return parts.length > 0 ? `, ${parts.join(", ")}` : "";
}

/** What can be opened below a schema: its fields, or its options. */
function below(schema, seen) {
  const full = resolved(schema);
  if (full === undefined || typeof full === "boolean") return undefined;
  const path = schema.$ref ? [...seen, schema.$ref] : seen;
  if (schema.$ref && seen.includes(schema.$ref)) return undefined;
  if (full.properties) return () => fields(full, path);
  for (const key of ["oneOf", "anyOf", "allOf"]) {
    if (full[key]?.some((option) => below(option, path))) return () => options(full[key], path);
  }
  if (full.type === "array") return below(full.items, path);
  if (full.enum && full.description?.includes("\n- ")) return () => h("div", {}, prose(full.description));
  return undefined;
}

function options(list, seen) {
  const title = (option) => resolved(option)?.title ?? resolved(option)?.description?.split("\n")[0] ?? kind(option);
  return h("ul", { class: "fields" }, list.map((option) => {
    const more = below(option, seen);
    return h("li", {}, more ? lazy("nested", title(option), more) : h("span", { class: "type" }, title(option)));
  }));
}

function fields(schema, seen) {
  const required = schema.required ?? [];
  const names = Object.keys(schema.properties).sort((a, b) => required.includes(b) - required.includes(a));
  return h("ul", { class: "fields" }, names.map((name) => field(name, schema.properties[name], required.includes(name), seen)));
}

function field(name, schema, required, seen) {
  const full = resolved(schema) ?? {};
  const more = below(schema, seen);
  const description = schema.description ?? (full.enum ? full.description?.split("\n\n")[0] : full.description);
  return h(
    "li",
    {},
    h("span", { class: "name" }, name), " ",
    h("span", { class: "type" }, kind(schema) + bounds(full)), " ",
    required ? h("span", { class: "must" }, "required") : undefined,
    prose(description),
    more ? lazy("nested", `Show ${kind(schema)}`, more) : undefined,
  );
}

function shape(schema) {
  const more = below(schema, []);
  const head = h("p", { class: "soft" }, kind(schema));
  return more ? h("div", {}, head, more()) : h("div", {}, head, prose(resolved(schema)?.description));
}

function parameters(list) {
  const groups = { path: "In the path", query: "In the query", header: "Headers" };
  return Object.entries(groups).flatMap(([where, title]) => {
    const some = list.map(resolved).filter((parameter) => parameter.in === where);
    if (some.length === 0) return [];
    const rows = some.map((parameter) =>
      field(parameter.name, { ...parameter.schema, description: parameter.description }, parameter.required, []));
    return [h("h4", {}, title), h("ul", { class: "fields" }, rows)];
  });
}

function examples(content) {
  return Object.entries(content.examples ?? {}).map(([name, { value }]) =>
    h("div", {}, h("p", { class: "soft" }, `Example: ${name}`), h("pre", {}, h("code", {}, typeof value === "string" ? value : JSON.stringify(value, null, 2)))));
}

function answer(status, node) {
  const full = resolved(node);
  const contents = Object.entries(full.content ?? {});
  const first = full.description.split("\n")[0];
  const summary = h("span", {}, h("span", { class: "status" }, status), " ", inline(full.description.startsWith("- ") ? first.slice(2) : first),
    full.description.includes("\n- ") ? h("span", { class: "soft" }, ` and ${full.description.split("\n").length - 1} more`) : undefined);
  return lazy("answer", summary, () =>
    h(
      "div",
      {},
      full.description.startsWith("- ") ? prose(full.description) : undefined,
      full.headers ? [h("h4", {}, "Headers"), h("ul", { class: "fields" }, Object.entries(full.headers).map(([name, header]) => {
        const of = resolved(header);
        return field(name, { ...of.schema, description: of.description }, of.required, []);
      }))] : undefined,
      contents.map(([type, content]) => [h("h4", {}, type), shape(content.schema)]),
    ));
}

function who(operation) {
  const chips = [];
  if (operation["x-roles"]) chips.push(`roles: ${operation["x-roles"].join(", ")}`);
  if (operation["x-scope"]) chips.push(`API key with scope ${operation["x-scope"]}`);
  for (const scheme of operation.security ?? []) {
    if (scheme.metrics) chips.push("the deployment's metrics token");
    if (scheme.signature) chips.push("signed (Standard Webhooks)");
  }
  if (operation.security?.length === 0) chips.push("no token");
  return h("ul", { class: "chips" }, chips.map((chip) => h("li", {}, chip)));
}

function inside(operation) {
  const body = operation.requestBody;
  return h(
    "div",
    { class: "inside" },
    who(operation),
    prose(operation.description),
    parameters(operation.parameters ?? []),
    body ? [
      h("h4", {}, `Body: ${Object.keys(body.content).join(", ")}${body.required ? "" : " (may be left out)"}`),
      shape(Object.values(body.content)[0].schema),
      examples(Object.values(body.content)[0]),
    ] : undefined,
    h("h4", {}, "Answers"),
    Object.entries(operation.responses).map(([status, node]) => answer(status, node)),
  );
}

function card(method, path, operation) {
  const summary = [h("span", { class: `method ${method}` }, method), h("span", { class: "path" }, path), h("span", { class: "what" }, operation.summary)];
  const details = lazy("card", "", () => inside(operation), { id: operation.operationId });
  details.firstElementChild.replaceChildren(...summary);
  details.dataset.words = `${method} ${path} ${operation.operationId} ${operation.summary}`.toLowerCase();
  return details;
}

/** Every operation, and every message, by tag. */
function* entries() {
  for (const [path, item] of Object.entries(api.paths)) {
    for (const method of methods) if (item[method]) yield { method, path, operation: item[method], told: false };
  }
  for (const [name, item] of Object.entries(api.webhooks ?? {})) {
    for (const method of methods) if (item[method]) yield { method, path: name, operation: item[method], told: true };
  }
}

function openHash() {
  const card = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (card instanceof HTMLDetailsElement) {
    card.open = true;
    card.scrollIntoView();
  }
}

function find(text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  for (const card of document.querySelectorAll(".card")) card.hidden = !words.every((word) => card.dataset.words.includes(word));
  for (const link of document.querySelectorAll("nav li")) {
    link.hidden = document.getElementById(link.dataset.of)?.hidden ?? false;
  }
  let found = false;
  for (const section of document.querySelectorAll("main section.group")) {
    section.hidden = !section.querySelector(".card:not([hidden])");
    found ||= !section.hidden;
  }
  for (const group of document.querySelectorAll("nav details")) group.hidden = !group.querySelector("li:not([hidden])");
  document.getElementById("state").textContent = found ? "" : "Nothing has these words.";
}

function render() {
  const all = [...entries()];
  const wide = matchMedia("(min-width: 56.01rem)").matches;
  const groups = api.tags.map(({ name, description }) => ({ name, description, cards: all.filter(({ operation, told }) => !told && operation.tags.includes(name)) }));
  groups.push({ name: "Messages to your endpoints", description: "What is sent to webhook endpoints.", cards: all.filter(({ told }) => told) });
  const used = groups.filter(({ cards }) => cards.length > 0);
  document.getElementById("nav").replaceChildren(...used.map(({ name, cards }) =>
    h("details", { open: wide }, h("summary", {}, name), h("ul", {}, cards.map(({ operation }) => {
      const item = h("li", {}, h("a", { href: `#${encodeURIComponent(operation.operationId)}` }, operation.summary));
      item.dataset.of = operation.operationId;
      return item;
    })))));
  document.getElementById("main").replaceChildren(
    h("section", { class: "lead" }, h("h1", {}, "The HTTP API"), h("p", { class: "soft" }, `${api.info.title} ${api.info.version}, OpenAPI ${api.openapi}`), prose(api.info.description)),
    h("p", { id: "state", role: "status" }),
    ...used.map(({ name, description, cards }) =>
      h("section", { class: "group" }, h("h2", {}, name), h("p", { class: "soft" }, description), cards.map(({ method, path, operation }) => card(method, path, operation)))),
  );
}

try {
  const answered = await fetch("/openapi.json");
  if (!answered.ok) throw new Error(`HTTP ${answered.status}`);
  api = await answered.json();
  render();
  openHash();
  addEventListener("hashchange", openHash);
  document.getElementById("find").addEventListener("input", (event) => find(event.target.value));
} catch (error) {
  document.getElementById("state").textContent = `The document could not be read (${error.message}). Reload the page.`;
}
