/** A form that sends a request to one route and shows the response. */

import { block, json } from "./docs_elements.js";
import { el } from "./dom.js";

const JSON_TYPE = "application/json";
const FORM_TYPE = "application/x-www-form-urlencoded";
const FILE_TYPE = "image/*";

/** Return the form of a route; paths are relative to the URL of the OpenAPI document, which has the named schemas. */
export function tryForm(route, source, schemas) {
  const { method, operation } = route;
  const place = el("div", { class: "outcome", role: "status" });
  const fields = [...operation.parameters.map((parameter) => field(operation, parameter, schemas)), ...bodyFields(operation)];
  const form = el("form", {}, fields, el("button", {}, `Send ${method.toUpperCase()}`));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    place.replaceChildren(el("p", {}, "Sending …"));
    place.replaceChildren(...(await outcome(route, source, form)));
  });
  return el("details", { class: "try" }, el("summary", {}, "Try it"), form, place);
}

function field({ operationId }, { name, required, example, schema }, schemas) {
  const id = `${operationId}-${name}`;
  const attributes = { id, name: `parameter-${name}`, required };
  const choices = choicesOf(schema.$ref ? schemas[schema.$ref.split("/").at(-1)] : schema);
  const input = choices
    ? el("select", attributes, choices.map((value) => el("option", { value, selected: value === example }, value)))
    : el("input", { ...attributes, value: example, spellcheck: "false", autocomplete: "off" });
  return el("p", {}, el("label", { for: id }, name), input);
}

/** Return the values to choose from; the empty one leaves the parameter out. */
function choicesOf({ type, enum: values }) {
  if (type === "boolean") return ["", "true", "false"];
  return values && ["", ...values];
}

function bodyFields({ operationId, requestBody: body }) {
  if (!body) return [];
  const type = [JSON_TYPE, FORM_TYPE].find((candidate) => candidate in body.content);
  if (!type) return [fileField(operationId, "file of the form", { "data-form": "true" })];
  const { example, examples } = body.content[type];
  const value = example ?? Object.values(examples)[0].value;
  const text = type === JSON_TYPE ? JSON.stringify(value, null, 2) : String(new URLSearchParams(value));
  const area = el("textarea", { id: `${operationId}-body`, name: "body", rows: "6", spellcheck: "false", "data-type": type }, text);
  const fields = [el("p", {}, el("label", { for: area.id }, `body (${type})`), area)];
  if (FILE_TYPE in body.content) {
    fields.push(fileField(operationId, "or an image file, instead of the body", { accept: FILE_TYPE }));
  }
  return fields;
}

function fileField(operationId, label, attributes) {
  const file = el("input", { ...attributes, id: `${operationId}-file`, name: "file", type: "file" });
  return el("p", {}, el("label", { for: file.id }, label), file);
}

/** Send the request; return elements with the response, or with the reason why there is none. */
async function outcome(route, source, form) {
  try {
    const begun = performance.now();
    const reply = await fetch(address(route, source, form), { ...sent(form), method: route.method, headers: headers(route, form), cache: "no-store" });
    const said = await reply.blob();
    const ms = Math.round(performance.now() - begun);
    const lines = [...reply.headers].map(([name, value]) => `${name}: ${value}`);
    return [
      el("p", { class: reply.ok ? "good" : "error" }, el("strong", {}, `${reply.status} ${reply.statusText}`), ` in ${ms} ms`),
      el("details", {}, el("summary", {}, "Headers"), block(lines.join("\n"))),
      await shown(said),
    ];
  } catch (error) {
    return [el("p", { class: "error" }, `The gateway did not answer: ${error.message}`)];
  }
}

async function shown(said) {
  if (said.type.startsWith("image/")) return el("img", { src: URL.createObjectURL(said), alt: "Image in the response" });
  const text = await said.text();
  return said.type.includes("json") ? json(JSON.parse(text)) : block(text);
}

/** Return the body of the request, if any; a file takes precedence over text. */
function sent({ elements }) {
  const file = elements.file?.files[0];
  if (file && elements.file.dataset.form) {
    const form = new FormData();
    form.append("file", file);
    return { body: form };
  }
  const body = file ?? elements.body?.value;
  return body ? { body } : {};
}

function headers({ operation }, form) {
  const made = new Headers(valuesOf(operation, form, "header"));
  const key = document.getElementById("api-key").value;
  if (key) made.set("X-API-Key", key);
  const file = form.elements.file?.files[0];
  // The browser adds the type of a form itself, with its boundary.
  if (file && form.elements.file.dataset.form) return made;
  const type = file ? file.type || "application/octet-stream" : form.elements.body?.dataset.type;
  if (type) made.set("Content-Type", type);
  return made;
}

function address({ path, operation }, source, form) {
  const filled = valuesOf(operation, form, "path").reduce(
    (text, [name, value]) => text.replace(`{${name}}`, encodeURIComponent(value)),
    path,
  );
  const url = new URL(filled.slice(1), new URL(".", source));
  url.search = new URLSearchParams(valuesOf(operation, form, "query"));
  return url;
}

function valuesOf({ parameters }, { elements }, place) {
  return parameters
    .filter((parameter) => parameter.in === place)
    .map(({ name }) => [name, elements[`parameter-${name}`].value])
    .filter(([, value]) => value !== "");
}
