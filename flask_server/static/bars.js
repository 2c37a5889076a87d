/** Show predictions as bars; the text has all information, the bars are decoration. */

import { element } from "./dom.js";

const percent = new Intl.NumberFormat("en", {
  style: "percent",
  minimumFractionDigits: 1,
  maximumFractionDigits: 1,
});
const number = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

/** Fill the list, one item per prediction. */
export function showBars(list, predictions) {
  const most = Math.max(1, ...predictions.map(({ score }) => score));
  const write = formatOf(predictions);
  list.replaceChildren(...predictions.map((one) => bar(one, write(one.score), one.score / most)));
}

/** Return the best prediction as text. */
export function topLine(predictions) {
  if (predictions.length === 0) return "no label";
  const [{ label, score }] = predictions;
  return `${readable(label)}, ${formatOf(predictions)(score)}`;
}

/** Return the format of scores: per cent if all are between 0 and 1, as after softmax or sigmoid. */
function formatOf(predictions) {
  const shares = predictions.every(({ score }) => score >= 0 && score <= 1);
  return (score) => (shares ? percent : number).format(score);
}

function bar({ classId, label }, written, share) {
  const item = element("li");
  const name = element("span", "label", readable(label));
  name.title = classId;
  name.dir = "auto";
  const track = element("span", "track");
  track.setAttribute("aria-hidden", "true");
  const length = element("span");
  length.style.width = `${100 * Math.max(0, share)}%`;
  track.append(length);
  item.append(name, " ", element("span", "score", written), track);
  return item;
}

/** Replace the underscores of ImageNet's labels, such as `sports_car`. */
function readable(label) {
  return label.replaceAll("_", " ");
}
