/** Larger parts of the API page: prose, tables and code blocks. */

import { el } from "./dom.js";

/** Turn text with `code` and lines that begin with "- " into a paragraph and a list. */
export function prose(text = "", lead = null) {
  return text.split("\n\n").flatMap((part, index) => paragraph(part, index === 0 ? lead : null));
}

function paragraph(text, lead) {
  const lines = text.split("\n");
  const items = lines.filter((line) => line.startsWith("- "));
  const words = lines.filter((line) => !line.startsWith("- ")).join(" ");
  return [
    words || lead ? el("p", {}, lead, inline(words)) : null,
    items.length ? el("ul", {}, items.map((item) => el("li", {}, inline(item.slice(2))))) : null,
  ];
}

function inline(text) {
  return text.split("`").map((part, index) => (index % 2 ? el("code", {}, part) : part));
}

/** Return a table with row headings, in a box that can be scrolled by keyboard. */
export function table(caption, heads, rows) {
  const head = el("tr", {}, heads.map((text) => el("th", { scope: "col" }, text)));
  const body = rows.map(([first, ...cells]) =>
    el("tr", {}, el("th", { scope: "row" }, first), cells.map((cell) => el("td", {}, cell))),
  );
  return el(
    "div",
    { class: "scroll", tabindex: "0", role: "group", "aria-label": caption },
    el("table", {}, el("caption", {}, caption), el("thead", {}, head), el("tbody", {}, body)),
  );
}

/** Show preformatted text. */
export const block = (text) => el("pre", { tabindex: "0" }, el("code", {}, text));

/** Show a value as JSON. */
export const json = (value) => block(JSON.stringify(value, null, 2));
