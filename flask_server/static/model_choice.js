/** The form that chooses model, version, number of labels, and what to compare with. */

import { el, errorText, showText } from "./dom.js";
import { LEAST_SCORE } from "./objects.js";

/** Value of the option that leaves the version open: the newest one when the request arrives. */
const NEWEST = "";

/** Value of the option that compares with nothing. */
const NOTHING = "";

const AVAILABLE = "AVAILABLE";

/** The page cannot show what models of these tasks return. */
const OTHER_TASKS = ["tensor", "embedding", "segmentation"];

export class ModelChoice {
  #models = [];

  /** `changed` is called with the chosen model, as `/models` describes it. */
  constructor(form, changed) {
    Object.assign(this, { form, changed });
    for (const name of ["model", "version", "top-k", "compare"]) this[name] = form.querySelector(`#${name}`);
    this.model.addEventListener("change", () => {
      this.version.value = NEWEST; // version numbers of different models are unrelated
      this.#showVersions();
    });
    this.version.addEventListener("change", () => this.#showOthers());
    form.addEventListener("submit", (event) => event.preventDefault());
  }

  /** Return the options of the next request of each image: one, or two to compare. */
  targets() {
    const chosen = { model: this.model.value || undefined, version: versionOf(this.version.value) };
    const others = this.compare.value === NOTHING ? [] : [JSON.parse(this.compare.value)];
    return [chosen, ...others].map((target) => ({
      ...target,
      ...this.#most(target.model),
      shrink: this.form.querySelector("#shrink").checked,
    }));
  }

  /** Return the least score of objects that a detector shows at first. */
  thresholdOf(name) {
    return this.#named(name)?.boxes?.threshold ?? 0.5;
  }

  /** The chosen model, undefined before the models are loaded. */
  get chosen() {
    return this.#named(this.model.value);
  }

  /** Show the gateway's models; keep the chosen model and version if they still exist. */
  show(models) {
    this.#models = models.filter(({ task }) => !OTHER_TASKS.includes(task));
    fill(this.model, this.#models.map((model) => option(model.name, titleOf(model))));
    this.#showVersions();
  }

  /** Show why the list of models could not be loaded. */
  fail(error) {
    showText(this.form.querySelector("#trouble"), errorText(error));
  }

  /** Return how much to ask for: some labels, but all objects, which the page then chooses from. */
  #most(name) {
    const model = this.#named(name ?? this.model.value);
    return model?.task === "detection" ? { threshold: LEAST_SCORE } : { topK: this.#topK(name) };
  }

  /** Limit the number of labels to the model's classes; the gateway refuses larger numbers. */
  #topK(name) {
    const output = this.#named(name)?.output;
    const most = output?.top_k ?? output?.classes ?? Infinity;
    return Math.min(this["top-k"].valueAsNumber, most) || undefined;
  }

  #named(name) {
    return this.#models.find((model) => model.name === name);
  }

  #showVersions() {
    const model = this.chosen;
    const newest = option(NEWEST, model?.version ? `newest (${model.version})` : "newest");
    fill(this.version, [newest, ...(model?.versions ?? []).map(versionOption)]);
    showText(this.form.querySelector("#warning"), (model?.warnings ?? []).join(" "));
    showText(this.form.querySelector("#trouble"), model?.error ? errorText(model.error) : "");
    this["top-k"].closest(".field").hidden = model?.task === "detection";
    this.#showOthers();
    this.changed(model);
  }

  /** Offer what the choice can be compared with: other models, and other versions of each. */
  #showOthers() {
    const chosen = JSON.stringify({ model: this.model.value, version: versionOf(this.version.value) });
    const others = this.#models.flatMap(comparable).filter(({ value }) => value !== chosen);
    fill(this.compare, [option(NOTHING, "nothing"), ...others]);
    this.compare.closest(".field").hidden = others.length === 0;
  }
}

function fill(select, options) {
  const chosen = select.value;
  select.replaceChildren(...options);
  const still = options.some((one) => one.value === chosen && !one.disabled);
  select.value = still ? chosen : options[0]?.value ?? "";
}

function option(value, text) {
  return el("option", { value }, text);
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

function versionOf(value) {
  return value === NEWEST ? undefined : Number(value);
}

/** Return an option for a model's newest version, and one for each if there are several. */
function comparable({ name, ready, versions }) {
  if (!ready) return [];
  const usable = versions.filter(({ state }) => state === AVAILABLE).map(({ version }) => version);
  return [undefined, ...(usable.length > 1 ? usable : [])].map((version) =>
    option(JSON.stringify({ model: name, version }), version ? `${name}, version ${version}` : `${name}, newest`),
  );
}
