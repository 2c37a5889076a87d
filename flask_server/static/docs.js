/**
 * Show the OpenAPI document of this gateway: each route with its parameters, body, responses and a form.
 *
 * No viewer from npm is used, because none of three measured ones fits: under this page's Content-Security-Policy,
 * Redoc 2.5.4 (1.1 MB) has 10 inline styles blocked and shows nothing, Scalar 1.46.4 (3.9 MB) has 45 inline styles, one
 * eval and two requests to its maker's servers blocked, and Swagger UI 5.35.0 (1.9 MB), which has nothing blocked, fails
 * seven accessibility rules of axe; the files of this page have 20 kB together and fail none.
 *
 * Supports only the parts of OpenAPI that this gateway's document uses.
 */

import { answers, errorTable } from "./docs_answers.js";
import { json, prose, table } from "./docs_elements.js";
import { tryForm } from "./docs_try.js";
import { el } from "./dom.js";

const METHODS = ["get", "post"];

const source = new URL(document.body.dataset.document, document.baseURI);
const required = () => el("strong", {}, "Required. ");

/** Return a one-line description of a schema, with links to named schemas. */
function kind(schema) {
  if (schema.$ref) return link(schema.$ref.split("/").at(-1));
  if (schema.prefixItems) return ["[", joined(schema.prefixItems, ", "), "]"];
  if (schema.type === "array") return ["list of ", kind(schema.items), limits(schema)];
  // The description of a long list says what each value means.
  if (schema.enum?.length > 8) return schema.type;
  if (schema.enum) return schema.enum.map((value, index) => [index ? ", " : null, el("code", {}, value)]);
  if ("const" in schema) return el("code", {}, JSON.stringify(schema.const));
  if (schema.contentEncoding) return "base64 text";
  if (schema.format === "binary") return "file";
  if (schema.type) return [schema.type, limits(schema)];
  const choices = schema.oneOf ?? schema.anyOf;
  return choices ? joined(choices, " or ") : "any JSON";
}

const link = (name) => el("a", { href: `#schema-${name}` }, name);

function joined(schemas, separator) {
  return schemas.map((schema, index) => [index ? separator : null, kind(schema)]);
}

function limits({ minimum, maximum, minItems, maxItems }) {
  const [least, most] = [minimum ?? minItems, maximum ?? maxItems];
  if (most !== undefined) return least === most ? `, ${most}` : `, ${least ?? 0} to ${most}`;
  return least === undefined ? "" : `, ${least} or more`;
}

function properties(caption, schema) {
  const rows = Object.entries(schema.properties).map(([name, property]) => [
    el("code", {}, name),
    kind(property),
    prose(property.description, schema.required?.includes(name) ? required() : null),
  ]);
  return table(caption, ["property", "value", "meaning"], rows);
}

function parameters(operation) {
  if (!operation.parameters.length) return [];
  const rows = operation.parameters.map((parameter) => [
    el("code", {}, parameter.name),
    parameter.in,
    kind(parameter.schema),
    prose(parameter.description ?? parameter.schema.description, parameter.required ? required() : null),
  ]);
  return [el("h4", {}, "Parameters"), table("Parameters", ["name", "in", "value", "meaning"], rows)];
}

function requestBody({ requestBody: body }) {
  if (!body) return [];
  return [el("h4", {}, "Body"), prose(body.description), Object.entries(body.content).map(bodyForm)];
}

function bodyForm([type, { schema, example, examples = {} }]) {
  return el(
    "details",
    {},
    el("summary", {}, el("code", {}, type)),
    el("p", {}, kind(schema)),
    prose(schema.description),
    Object.values(examples).map(({ summary, value }) => [el("p", {}, `${summary}:`), json(value)]),
    example ? json(example) : null,
  );
}

const verb = (method) => el("span", { class: `verb ${method}` }, method.toUpperCase());

/** Return an article that is folded until its summary, or a link to it, is clicked. */
function folded(id, title, summary, ...children) {
  return el(
    "article",
    { id, "aria-labelledby": `${id}-title` },
    el(
      "details",
      { class: "fold" },
      el("summary", {}, el("h3", { id: `${id}-title` }, title), summary ? el("span", { class: "summary" }, summary) : null),
      children,
    ),
  );
}

function drawn(route, schemas) {
  const { path, method, operation } = route;
  return folded(
    operation.operationId,
    [verb(method), " ", el("code", {}, path)],
    operation.summary,
    prose(operation.description),
    operation.security ? el("p", { class: "note" }, "Needs an API key.") : null,
    parameters(operation),
    requestBody(operation),
    answers(operation, kind),
    tryForm(route, source, schemas),
  );
}

function named([name, schema]) {
  return folded(
    `schema-${name}`,
    name,
    "",
    prose(schema.description),
    schema.properties ? properties(name, schema) : el("p", {}, kind(schema)),
    (schema.examples ?? []).map(json),
  );
}

function routesOf({ paths }) {
  return Object.entries(paths).flatMap(([path, item]) =>
    METHODS.filter((method) => method in item).map((method) => ({ path, method, operation: item[method] })),
  );
}

function section(id, title, ...children) {
  return el("section", { "aria-labelledby": id }, el("h2", { id }, title), children);
}

function contents(routes) {
  const links = routes.map(({ path, method, operation }) =>
    el("li", {}, el("a", { href: `#${operation.operationId}` }, verb(method), " ", path)),
  );
  const further = [["errors", "Errors"], ["schemas", "Schemas"]];
  return el("ul", {}, links, further.map(([id, title]) => el("li", {}, el("a", { href: `#${id}` }, title))));
}

function draw(described) {
  const { schemas } = described.components;
  const routes = routesOf(described);
  const tagged = (name) => routes.filter(({ operation }) => operation.tags.includes(name));
  document.getElementById("about").append(...prose(described.info.description).filter(Boolean));
  document.getElementById("key").hidden = !routes.some(({ operation }) => operation.security);
  document.getElementById("contents").append(contents(routes));
  document.getElementById("content").replaceChildren(
    ...described.tags.map(({ name, description }) =>
      section(`tag-${name}`, name, el("p", {}, description), tagged(name).map((route) => drawn(route, schemas))),
    ),
    section("errors", "Errors", el("p", {}, "Every route may send some of these problem documents."), errorTable(routes)),
    section("schemas", "Schemas", Object.entries(schemas).map(named)),
  );
  unfold();
}

/** Open the article that the address names, and show it. */
function unfold() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const details = target?.querySelector(":scope > .fold");
  if (details) details.open = true;
  target?.scrollIntoView();
}

window.addEventListener("hashchange", unfold);

try {
  const reply = await fetch(source);
  if (!reply.ok) throw new Error(`${reply.status} ${reply.statusText}`);
  draw(await reply.json());
} catch (error) {
  document.getElementById("state").textContent = `The document could not be read: ${error.message}`;
}
