/** A card of the page: one picture, its predictions, their timing, and the buttons for it. */

import { isAboutTheKey } from "./api_key.js";
import { showBars, topLine } from "./bars.js";
import { hideCopy, offerCopies } from "./copies.js";
import { errorText, showText } from "./dom.js";
import { HeatMap } from "./heat_map.js";
import { snippets } from "./snippets.js";
import { showTimes } from "./times.js";
import { Waiting } from "./waiting.js";

/** Pictures narrower than this are shown pixel by pixel. */
const TINY = 100;

export class Card {
  #abort = new AbortController();
  #preview;
  #heat;
  #waiting;

  /** `actions` (ask, cancel, explain, remove) are called with the card when a button is clicked. */
  constructor(template, file, actions) {
    this.file = file;
    this.refused = false;
    this.element = template.content.firstElementChild.cloneNode(true);
    this.element.setAttribute("aria-label", file.name);
    this.#find(".name").textContent = file.name;
    this.#preview = URL.createObjectURL(file);
    this.#waiting = new Waiting(this.#find(".waiting"), {
      cancel: () => actions.cancel(this),
      next: this.#find(".again"),
    });
    this.#heat = this.#heatMap(() => this.#explain(actions.explain));
    this.#find(".again").addEventListener("click", () => actions.ask(this));
    this.#find(".remove").addEventListener("click", () => actions.remove(this));
    offerCopies(this.element, () => snippets({ file, ...this.request }));
  }

  /** Show that a request is in flight; return a signal that aborts with the next request or the card. */
  wait() {
    this.#abort.abort();
    this.#abort = new AbortController();
    this.refused = false;
    this.#heat.reset(this.#preview);
    hideCopy(this.element);
    this.#find(".heat").hidden = true;
    this.element.setAttribute("aria-busy", "true");
    this.#waiting.start("Waiting for the labels…");
    return this.signal;
  }

  /** Abort the request in flight; return a sentence for screen readers. */
  cancel() {
    this.#abort.abort();
    this.#abort = new AbortController();
    if (this.element.hasAttribute("aria-busy")) this.#finish({ by: "", trouble: "Cancelled." });
    this.#waiting.stop();
    return `${this.file.name}: cancelled.`;
  }

  get signal() {
    return this.#abort.signal;
  }

  /** Show the predictions and remember their request; return a sentence for screen readers. */
  show(answer, request) {
    this.answer = answer;
    this.request = request;
    showText(this.#find(".warning"), answer.warnings.join(" "));
    showBars(this.#find(".bars"), answer.predictions);
    showTimes(this.#find(".times"), answer, this.file.size);
    this.#finish({ by: `${answer.model}, version ${answer.version}`, trouble: "" });
    return `${this.file.name}: ${topLine(answer.predictions)}`;
  }

  /** Show the server's error message; return a sentence for screen readers. */
  fail(error) {
    this.refused = isAboutTheKey(error);
    const trouble = errorText(error);
    this.#finish({ by: error.requestId ? `Request ${error.requestId}` : "", trouble });
    return `${this.file.name}: ${trouble}`;
  }

  /** Remove the card and abort its requests. */
  close() {
    this.#abort.abort();
    this.#waiting.stop();
    this.#heat.reset("");
    URL.revokeObjectURL(this.#preview);
    this.element.remove();
  }

  #finish({ by, trouble }) {
    this.element.removeAttribute("aria-busy");
    this.#waiting.stop();
    this.#find(".by").textContent = by;
    showText(this.#find(".trouble"), trouble);
    this.#find(".answer").hidden = trouble !== "";
    this.#find(".heat").hidden = trouble !== "" || this.answer.predictions.length === 0;
  }

  async #explain(explain) {
    const stop = this.#waiting.start("Computing the heat map…");
    try {
      return await explain(this);
    } finally {
      stop();
    }
  }

  #heatMap(ask) {
    const image = this.#find("img");
    image.alt = this.file.name;
    image.addEventListener("load", () => fit(image, image.naturalWidth));
    // Browsers cannot show every format that the gateway reads.
    image.addEventListener("error", () => fit(image, 0));
    const [button, trouble] = [this.#find(".heat"), this.#find(".heat-trouble")];
    return new HeatMap({ button, image, trouble, ask });
  }

  #find(selector) {
    return this.element.querySelector(selector);
  }
}

function fit(image, width) {
  image.hidden = width === 0;
  image.classList.toggle("tiny", width < TINY);
}
