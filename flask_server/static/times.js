/** Show the duration of a request: the stages of `Server-Timing`, and the network. */

import { el } from "./dom.js";

const STAGES = ["decode", "preprocess", "serving", "postprocess"];

/** Fill the details: a summary, a strip of stages, and a list of their durations. */
export function showTimes(details, { serverMs, elapsedMs, sentBytes }, fileBytes) {
  const parts = split(serverMs, elapsedMs);
  const server = "total" in serverMs ? `, ${written(serverMs.total)} of them in the gateway` : "";
  details.querySelector("summary").textContent = `${written(elapsedMs)}${server}`;
  details.querySelector(".stages").replaceChildren(...parts.map(strip));
  const copy = sentBytes < fileBytes ? `, a smaller copy of ${bytes(fileBytes)}` : "";
  const sent = el("li", {}, `${bytes(sentBytes)} sent${copy}`);
  details.querySelector("ul").replaceChildren(...parts.map(entry), sent);
}

function split(serverMs, elapsedMs) {
  const parts = STAGES.filter((name) => name in serverMs).map((name) => [name, serverMs[name]]);
  const staged = parts.reduce((sum, [, spent]) => sum + spent, 0);
  const total = serverMs.total ?? staged;
  return [...parts, ["other", total - staged], ["network", elapsedMs - total]];
}

function strip([name, spent]) {
  const made = el("span", { class: name });
  made.style.flexGrow = Math.max(0, spent);
  return made;
}

function entry([name, spent]) {
  return el("li", { class: name }, `${name} ${written(Math.max(0, spent))}`);
}

function written(ms) {
  return `${ms.toFixed(ms < 10 ? 1 : 0)} ms`;
}

function bytes(count) {
  return count < 1e6 ? `${Math.ceil(count / 1000)} kB` : `${(count / 1e6).toFixed(1)} MB`;
}
