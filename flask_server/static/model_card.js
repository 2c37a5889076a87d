/** A dialog that describes the chosen model: input, versions, origin, and a list of its labels to search. */

import { el, errorText, showText } from "./dom.js";

/** Number of labels shown at once; searching reaches the others. */
const MAX_SHOWN = 200;

const COLORS = { grayscale: "grey", rgb: "colour" };
const FITS = {
  stretch: "stretched to this size",
  crop: "cropped to this shape",
  pad: "padded to this shape",
};
const SCALES = {
  tf: "−1 to 1",
  unit: "0 to 1",
  none: "0 to 255",
  caffe: "BGR minus the mean of ImageNet",
  torch: "mean and deviation of ImageNet",
};

const ENGINES = { openvino: "OpenVINO", tensorflow: "TensorFlow" };

const count = new Intl.NumberFormat("en");

export class ModelCard {
  #labels = [];

  /** `describe()` resolves to the chosen model with its spec. */
  constructor(dialog, { button, describe }) {
    Object.assign(this, { dialog, describe });
    button.addEventListener("click", () => this.#open());
    dialog.querySelector(".close").addEventListener("click", () => dialog.close());
    this.search = dialog.querySelector("input");
    this.search.addEventListener("input", () => this.#showLabels());
  }

  async #open() {
    this.#fill("", [], []);
    this.dialog.showModal();
    try {
      const model = await this.describe();
      this.#fill(model.name, factsOf(model), model.spec?.labels ?? []);
    } catch (error) {
      if (error.code === undefined) throw error;
      showText(this.dialog.querySelector(".error"), errorText(error));
    }
  }

  #fill(name, facts, labels) {
    this.#labels = labels;
    this.search.value = "";
    showText(this.dialog.querySelector(".error"), "");
    this.dialog.querySelector("h2").textContent = name || "Loading…";
    this.dialog.querySelector("dl").replaceChildren(
      ...facts.map(([term, fact]) => el("div", {}, el("dt", {}, term), el("dd", {}, fact))),
    );
    this.#showLabels();
  }

  #showLabels() {
    const found = matching(this.#labels, this.search.value);
    const shown = found.slice(0, MAX_SHOWN);
    this.dialog.querySelector("ul").replaceChildren(
      ...shown.map(([id, label]) => el("li", { title: id, dir: "auto" }, label.replaceAll("_", " "))),
    );
    this.dialog.querySelector(".count").textContent = countText(this.#labels.length, found.length, shown.length);
  }
}

/** Return the labels whose text or class id contains the words, in any case. */
function matching(labels, words) {
  const wanted = words.trim().toLowerCase().replaceAll(" ", "_");
  return labels.filter((names) => names.some((name) => name.toLowerCase().replaceAll(" ", "_").includes(wanted)));
}

function countText(all, found, shown) {
  const rest = shown < found ? `; the first ${count.format(shown)} are shown` : "";
  if (found === all) return `${count.format(all)} labels${rest}`;
  return `${count.format(found)} of ${count.format(all)} labels${rest}`;
}

/** Return pairs of a term and a fact; facts that the gateway does not know are left out. */
function factsOf({ version, versions, trained, source, engine, precision, input, output, spec }) {
  const facts = [
    ["Version", version && `${version}${olderText(versions, version)}`],
    ["Input", input && `${input.width} × ${input.height} pixels, ${COLORS[input.color]}, ${FITS[input.fit]}`],
    ["Pixel values", SCALES[spec?.input?.scale]],
    ["Labels", output && labelsText(output)],
    ["Weights", trained === undefined ? undefined : trained ? "trained" : "random: its labels mean nothing"],
    ["Computed by", engine && [ENGINES[engine] ?? engine, precision].filter(Boolean).join(", ")],
    ["Made from", source],
    ["Exported", spec?.exported_at && new Date(spec.exported_at).toLocaleDateString("en", { dateStyle: "long" })],
  ];
  return facts.filter(([, fact]) => fact);
}

function labelsText({ classes, top_k: topK }) {
  return topK ? `from the model, ${count.format(topK)} per picture` : count.format(classes);
}

function olderText(versions, newest) {
  const others = versions.map(({ version }) => version).filter((version) => version !== newest);
  return others.length ? `; also ${others.join(", ")}` : "";
}
