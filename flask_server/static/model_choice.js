/** The lists of models and versions, and what is to be known about the chosen ones. */

import { element, inWords, tell } from "./dom.js";

/** The empty value: whichever version is the newest when the question arrives. */
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
      this.version.value = NEWEST; // a version of one model says nothing about another's
      this.#showVersions();
    });
    form.addEventListener("submit", (event) => event.preventDefault());
  }

  /** Return what the next question shall ask for. */
  wish() {
    return {
      model: this.model.value || undefined,
      version: this.version.value === NEWEST ? undefined : Number(this.version.value),
      topK: this.#topK(),
      shrink: this.form.querySelector("#shrink").checked,
    };
  }

  /** Show the gateway's models; what was chosen stays chosen as long as it exists. */
  show(models) {
    this.#models = models;
    fill(this.model, models.map((model) => option(model.name, titleOf(model))));
    this.#showVersions();
  }

  /** Say why there are no models. */
  fail(error) {
    tell(this.form.querySelector("#trouble"), inWords(error));
  }

  /** No more labels than the model has: the gateway refuses to invent some. */
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
    tell(this.form.querySelector("#warning"), (model?.warnings ?? []).join(" "));
    tell(this.form.querySelector("#trouble"), model?.error ? inWords(model.error) : "");
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
  const sight = `Sees ${input.width} × ${input.height} pixels in ${color}`;
  return `${sight}, tells ${output.classes} classes apart.${source ? ` From ${source}.` : ""}`;
}
