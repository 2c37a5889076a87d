/** Show predictions as bars; the text has all information, the bars are decoration. */

import { el } from "./dom.js";

const percent = new Intl.NumberFormat("en", {
  style: "percent",
  minimumFractionDigits: 1,
  maximumFractionDigits: 1,
});
const number = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

/** Shares below this are written as 0.0 %, and have no bar. */
const LEAST_SHARE = 0.0005;

/** Fill the list, one item per prediction; `choose`, if given, is called when a label is clicked. */
export function showBars(list, predictions, choose) {
  const most = Math.max(1, ...predictions.map(({ score }) => score));
  const write = formatOf(predictions.map(({ score }) => score));
  const score = (one) => el("span", { class: "score" }, write(one.score));
  const bar = (one) => el("li", {}, named(one, choose), " ", score(one), track(one.score / most));
  list.replaceChildren(...predictions.map(bar));
}

/** Return the best prediction as text. */
export function topLine(predictions) {
  if (predictions.length === 0) return "no label";
  const [{ label, score }] = predictions;
  return `${readable(label)}, ${formatOf(predictions.map((one) => one.score))(score)}`;
}

/** Return the format of scores: per cent if all are between 0 and 1, as after softmax or sigmoid. */
export function formatOf(scores) {
  const shares = scores.every((score) => score >= 0 && score <= 1);
  return (score) => (shares ? percent : number).format(score);
}

/** Replace the underscores of ImageNet's labels, such as `sports_car`. */
export function readable(label) {
  return label.replaceAll("_", " ");
}

function named(prediction, choose) {
  const { classId, label } = prediction;
  const [text, attributes] = [readable(label), { class: "label", dir: "auto" }];
  if (!choose) return el("span", { ...attributes, title: classId }, text);
  const title = `Show what speaks for ${text} (class ${classId})`;
  const state = { type: "button", "data-class": classId, "aria-pressed": "false" };
  const button = el("button", { ...attributes, ...state, title }, text);
  button.addEventListener("click", () => choose(prediction));
  return button;
}

function track(share) {
  const length = el("span");
  length.style.width = `${100 * Math.max(0, share)}%`;
  return el("span", { class: "track", "aria-hidden": "true" }, share < LEAST_SHARE ? null : length);
}
