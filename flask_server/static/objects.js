/** The objects that a detector found: a switch for each class, and a slider for the least score. */

import { formatOf, readable } from "./bars.js";
import { el } from "./dom.js";

/** Lowest score that the page asks for, and below which the slider does not go. */
export const LEAST_SCORE = 0.05;

/** Number of colours in card.css. */
const COLORS = 8;

const percent = formatOf([]);

export class ObjectList {
  #detections = [];
  #size = [1, 1];
  #off = new Set();

  /** `section` has the slider and the list, `layer` draws the frames over the image. */
  constructor(section, layer) {
    Object.assign(this, { section, layer, slider: section.querySelector("input") });
    this.slider.addEventListener("input", () => this.#update());
  }

  /** Show objects with at least this score; the slider changes it. */
  show(detections, size, threshold) {
    this.#detections = detections;
    this.#size = size;
    this.slider.value = String(Math.round(100 * Math.max(threshold, LEAST_SCORE)));
    this.#fill();
    this.section.hidden = false;
    this.#update();
  }

  /** Hide list and frames. */
  hide() {
    this.section.hidden = true;
    this.layer.clear();
  }

  #fill() {
    this.section.querySelector("ul").replaceChildren(
      ...classesOf(this.#detections).map(([classId, label], index) => {
        const box = el("input", { type: "checkbox", value: classId });
        box.checked = !this.#off.has(classId);
        box.addEventListener("change", () => this.#toggle(box));
        const swatch = el("i", { class: `color-${index % COLORS}`, "aria-hidden": "true" });
        const name = el("span", { dir: "auto" }, readable(label));
        return el("li", {}, el("label", {}, box, swatch, name, el("span", { class: "score" })));
      }),
    );
  }

  #toggle(box) {
    if (box.checked) this.#off.delete(box.value);
    else this.#off.add(box.value);
    this.#update();
  }

  /** Show what has the least score; a class without such an object has no switch. */
  #update() {
    const least = this.slider.valueAsNumber / 100;
    this.section.querySelector("output").textContent = percent(least);
    const above = this.#detections.filter(({ score }) => score >= least);
    for (const item of this.section.querySelectorAll("li")) {
      const found = above.filter(({ classId }) => classId === item.querySelector("input").value);
      item.hidden = found.length === 0;
      item.querySelector(".score").textContent = found.length ? countText(found) : "";
    }
    const colors = new Map(classesOf(this.#detections).map(([id], index) => [id, index]));
    const shown = above.filter(({ classId }) => !this.#off.has(classId));
    this.section.querySelector(".count").textContent = countLine(shown.length, above.length);
    this.layer.show(framesOf(shown, colors), this.#size);
  }
}

/** Return what the layer shows of objects; `colors` has a number for each class id. */
export function framesOf(detections, colors) {
  return detections.map((one) => ({
    box: one.box,
    color: colors.get(one.classId) % COLORS,
    text: textOf(one),
  }));
}

/** Return the objects with at least this score as text, such as `2 × cat, dog`. */
export function objectsLine(detections, threshold) {
  const above = detections.filter(({ score }) => score >= threshold);
  const parts = classesOf(above).map(([id, label]) => {
    const count = above.filter(({ classId }) => classId === id).length;
    return count > 1 ? `${count} × ${readable(label)}` : readable(label);
  });
  return parts.join(", ") || "no object";
}

/** Return pairs of class id and label, that of the best object first. */
function classesOf(detections) {
  return [...new Map(detections.map(({ classId, label }) => [classId, label]))];
}

function textOf({ label, score }) {
  return `${readable(label)} ${formatOf([score])(score)}`;
}

function countText(found) {
  const best = formatOf([found[0].score])(found[0].score);
  return found.length > 1 ? `${found.length}, up to ${best}` : best;
}

function countLine(shown, above) {
  if (above === 0) return "No object has this score.";
  const all = above === 1 ? "1 object" : `${above} objects`;
  return shown === above ? `${all} found.` : `${shown} of ${all} shown.`;
}
