/** The form that chooses model, version and number of labels, with notes about the chosen model. */

import { element, errorText, showText } from "./dom.js";

/** Value of the option that leaves the version open: the newest one when the request arrives. */
const NEWEST = "";

const AVAILABLE = "AVAILABLE";

export class ModelChoice {
  #models = [];

  constructor(form) {
    this.form = form;
    this.model = form.querySelector("#model");
    this.version = form.querySelector("#version");
    this.topK = form.querySelector("#top-k");
    this.model.addEventListener("change", () => {
      this.version.value = NEWEST; // version numbers of different models are unrelated
      this.#showVersions();
    });
    form.addEventListener("submit", (event) => event.preventDefault());
  }

  /** Return the options of the next request. */
  options() {
    return {
      model: this.model.value || undefined,
      version: this.version.value === NEWEST ? undefined : Number(this.version.value),
      topK: this.#topK(),
      shrink: this.form.querySelector("#shrink").checked,
    };
  }

  /** Show the gateway's models; keep the chosen model and version if they still exist. */
  show(models) {
    this.#models = models;
    fill(this.model, models.map((model) => option(model.name, titleOf(model))));
    this.#showVersions();
  }

  /** Show why the list of models could not be loaded. */
  fail(error) {
    showText(this.form.querySelector("#trouble"), errorText(error));
  }

  /** Limit the number of labels to the model's classes; the gateway refuses larger numbers. */
  #topK() {
    const most = this.#chosen()?.output?.classes ?? Infinity;
    return Math.min(this.topK.valueAsNumber, most) || undefined;
  }

  #chosen() {
    return this.#models.find(({ name }) => name === this.model.value);
  }

  #showVersions() {
    const model = this.#chosen();
    const newest = option(NEWEST, model?.version ? `newest (${model.version})` : "newest");
    fill(this.version, [newest, ...(model?.versions ?? []).map(versionOption)]);
    this.form.querySelector("#about").textContent = model?.input ? description(model) : "";
    showText(this.form.querySelector("#warning"), (model?.warnings ?? []).join(" "));
    showText(this.form.querySelector("#trouble"), model?.error ? errorText(model.error) : "");
  }
}

function fill(select, options) {
  const chosen = select.value;
  select.replaceChildren(...options);
  const still = options.some((one) => one.value === chosen && !one.disabled);
  select.value = still ? chosen : options[0]?.value ?? "";
}

function option(value, text) {
  const made = element("option", "", text);
  made.value = value;
  return made;
}

function titleOf({ name, ready, trained }) {
  if (!ready) return `${name} (not ready)`;
  return trained === false ? `${name} (untrained)` : name;
}

function versionOption({ version, state }) {
  const usable = state === AVAILABLE;
  const made = option(String(version), usable ? String(version) : `${version} (${state})`);
  made.disabled = !usable;
  return made;
}

function description({ input, output, source }) {
  const color = input.color === "grayscale" ? "grey" : "colour";
  const size = `${input.width} × ${input.height} pixels`;
  return `Input: ${size}, ${color}. Output: ${output.classes} classes.${source ? ` From ${source}.` : ""}`;
}
