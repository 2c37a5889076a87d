/** Show where the milliseconds of one request went: `Server-Timing`, and the way there and back. */

import { element } from "./dom.js";

const STAGES = ["decode", "preprocess", "serving", "postprocess"];

/** Fill the details: a sentence, a strip of stages, and their names with numbers. */
export function showTimes(details, { serverMs, elapsedMs, sentBytes }, fileBytes) {
  const parts = split(serverMs, elapsedMs);
  const server = "total" in serverMs ? `, ${written(serverMs.total)} of them in the gateway` : "";
  details.querySelector("summary").textContent = `${written(elapsedMs)}${server}`;
  details.querySelector(".stages").replaceChildren(...parts.map(strip));
  const copy = sentBytes < fileBytes ? `, a smaller copy of ${bytes(fileBytes)}` : "";
  const sent = element("li", "", `${bytes(sentBytes)} sent${copy}`);
  details.querySelector("ul").replaceChildren(...parts.map(entry), sent);
}

function split(serverMs, elapsedMs) {
  const parts = STAGES.filter((name) => name in serverMs).map((name) => [name, serverMs[name]]);
  const staged = parts.reduce((sum, [, spent]) => sum + spent, 0);
  const total = serverMs.total ?? staged;
  return [...parts, ["other", total - staged], ["way", elapsedMs - total]];
}

function strip([name, spent]) {
  const made = element("span", name);
  made.style.flexGrow = Math.max(0, spent);
  return made;
}

function entry([name, spent]) {
  const title = name === "way" ? "there and back" : name;
  return element("li", name, `${title} ${written(Math.max(0, spent))}`);
}

function written(ms) {
  return `${ms.toFixed(ms < 10 ? 1 : 0)} ms`;
}

function bytes(count) {
  return count < 1e6 ? `${Math.ceil(count / 1000)} kB` : `${(count / 1e6).toFixed(1)} MB`;
}
