/** One picture on the page: what the model saw in it, how long that took, and how to ask again. */

import { isAboutTheKey } from "./api_key.js";
import { showBars, topLine } from "./bars.js";
import { hideCopy, offerCopies } from "./copies.js";
import { inWords, tell } from "./dom.js";
import { HeatMap } from "./heat_map.js";
import { snippets } from "./snippets.js";
import { showTimes } from "./times.js";

/** Pictures narrower than this are shown pixel by pixel. */
const TINY = 100;

export class Card {
  #abort = new AbortController();
  #preview;
  #heat;

  /** `actions` are called with the card when its buttons are pressed. */
  constructor(template, file, actions) {
    this.file = file;
    this.refused = false;
    this.element = template.content.firstElementChild.cloneNode(true);
    this.element.setAttribute("aria-label", file.name);
    this.#find(".name").textContent = file.name;
    this.#preview = URL.createObjectURL(file);
    this.#heat = this.#heatMap(() => actions.explain(this));
    this.#find(".again").addEventListener("click", () => actions.ask(this));
    this.#find(".remove").addEventListener("click", () => actions.remove(this));
    offerCopies(this.element, () => snippets({ file, ...this.request }));
  }

  /** Say that a question is on its way; the signal ends with the next question or the card. */
  wait() {
    this.#abort.abort();
    this.#abort = new AbortController();
    this.refused = false;
    this.#heat.reset(this.#preview);
    hideCopy(this.element);
    this.#find(".heat").hidden = true;
    this.element.setAttribute("aria-busy", "true");
    return this.signal;
  }

  get signal() {
    return this.#abort.signal;
  }

  /** Show an answer and the request that it answers; return it as a sentence. */
  show(answer, request) {
    this.answer = answer;
    this.request = request;
    tell(this.#find(".warning"), answer.warnings.join(" "));
    showBars(this.#find(".bars"), answer.predictions);
    showTimes(this.#find(".times"), answer, this.file.size);
    this.#end({ by: `${answer.model}, version ${answer.version}`, trouble: "" });
    return `${this.file.name}: ${topLine(answer.predictions)}`;
  }

  /** Show in the server's own words what went wrong; return it as a sentence. */
  fail(error) {
    this.refused = isAboutTheKey(error);
    const trouble = inWords(error);
    this.#end({ by: error.requestId ? `Request ${error.requestId}` : "", trouble });
    return `${this.file.name}: ${trouble}`;
  }

  /** Leave the page, whatever is still on its way. */
  close() {
    this.#abort.abort();
    this.#heat.reset("");
    URL.revokeObjectURL(this.#preview);
    this.element.remove();
  }

  #end({ by, trouble }) {
    this.element.removeAttribute("aria-busy");
    this.#find(".by").textContent = by;
    tell(this.#find(".trouble"), trouble);
    this.#find(".answer").hidden = trouble !== "";
    this.#find(".heat").hidden = trouble !== "" || this.answer.predictions.length === 0;
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
