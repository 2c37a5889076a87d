/** The responses of a route, and one table with the errors of all routes. */

import { prose, table } from "./docs_elements.js";
import { el } from "./dom.js";

const PROBLEM = "application/problem+json";
const CODE_LINE = /^- `(\w+)`: (.*)$/gm;

/** Return the table of a route's good responses, and a list with the codes of its errors. */
export function answers({ responses }, kind) {
  const all = Object.entries(responses);
  const errors = all.filter(isError);
  const rows = all.filter((response) => !isError(response)).map(([status, { description, content = {} }]) => [
    status,
    prose(description),
    Object.entries(content).map(([type, { schema }]) => el("p", {}, el("code", {}, type), " ", kind(schema))),
  ]);
  return [
    el("h4", {}, "Responses"),
    table("Responses", ["status", "meaning", "body"], rows),
    el("p", { class: "codes" }, "Errors: ", errors.map(codesOf)),
  ];
}

/** Return the table of the errors of all routes. */
export function errorTable(routes) {
  const rows = new Map();
  for (const { operation } of routes) {
    for (const [status, { description }] of Object.entries(operation.responses).filter(isError)) {
      for (const [, code, meaning] of description.matchAll(CODE_LINE)) rows.set(code, [status, code, meaning]);
    }
  }
  const sorted = [...rows.values()].sort(([one], [other]) => one - other);
  return table(
    "Errors",
    ["code", "status", "meaning"],
    sorted.map(([status, code, meaning]) => [el("code", { id: `error-${code}` }, code), status, prose(meaning)]),
  );
}

function isError([, { content = {} }]) {
  return PROBLEM in content;
}

function codesOf([status, { description }], index) {
  const codes = [...description.matchAll(CODE_LINE)].map(([, code]) => code);
  const links = codes.map((code, at) => [at ? ", " : " ", el("a", { href: `#error-${code}` }, code)]);
  return [index ? "; " : null, status, links];
}
