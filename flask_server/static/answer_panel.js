/** The answer of one model in a card: waiting, bars, timing, warnings, or the reason why there is none. */

import { isAboutTheKey } from "./api_key.js";
import { showBars, topLine } from "./bars.js";
import { errorText, showText } from "./dom.js";
import { ObjectList, objectsLine } from "./objects.js";
import { showTimes } from "./times.js";
import { Waiting } from "./waiting.js";

const MISSING_KEY = "This picture waits until an API key is entered above.";

export class AnswerPanel {
  #abort = new AbortController();
  #waiting;
  #actions;
  #objects;

  /**
   * `actions` (ask, cancel, explain) are called with the panel when a button is clicked; `layer` draws
   * frames over the image.
   */
  constructor(template, file, actions, layer) {
    this.file = file;
    this.refused = false;
    this.element = template.content.firstElementChild.cloneNode(true);
    this.#actions = actions;
    this.layer = layer;
    this.#objects = new ObjectList(this.#find(".objects"), layer);
    this.#waiting = new Waiting(this.#find(".waiting"), {
      cancel: () => actions.cancel(this),
      next: this.#find(".again"),
    });
    this.#find(".again").addEventListener("click", () => actions.ask(this));
    this.#find(".heat").addEventListener("click", () => {
      actions.explain(this, this.pressed ?? this.answer.predictions[0]);
    });
  }

  get signal() {
    return this.#abort.signal;
  }

  get busy() {
    return this.element.hasAttribute("aria-busy");
  }

  /** Show that a request is in flight; return a signal that aborts with the next request or the panel. */
  wait() {
    this.#abort.abort();
    this.#abort = new AbortController();
    this.refused = false;
    this.#find(".heat").hidden = true;
    showText(this.#find(".heat-trouble"), "");
    this.element.setAttribute("aria-busy", "true");
    this.#waiting.start("Waiting for the labels…");
    return this.signal;
  }

  /** Show the sentence and the seconds since now; return a function that hides them. */
  waitFor(sentence) {
    return this.#waiting.start(sentence);
  }

  /** Abort the request in flight. */
  cancel() {
    this.#abort.abort();
    this.#abort = new AbortController();
    if (this.busy) this.#finish({ by: "", trouble: "Cancelled." });
    this.#waiting.stop();
  }

  /** Show the answer and remember its request; return it in a line. */
  show(answer, request) {
    Object.assign(this, { answer, request });
    showText(this.#find(".warning"), answer.warnings.join(" "));
    const line = answer.detections ? this.#showObjects(answer, request) : this.#showBars(answer);
    showTimes(this.#find(".times"), answer, this.file.size);
    this.#finish({ by: `${answer.model}, version ${answer.version}`, trouble: "" });
    return line;
  }

  #showBars({ predictions }) {
    this.#objects.hide();
    showBars(this.#find(".bars"), predictions, (prediction) => this.#actions.explain(this, prediction));
    return topLine(predictions);
  }

  #showObjects({ detections, size }, { threshold }) {
    this.#find(".bars").replaceChildren();
    this.#objects.show(detections, size, threshold);
    return objectsLine(detections, threshold);
  }

  /** Show the server's error message; return a sentence for screen readers. */
  fail(error) {
    this.refused = isAboutTheKey(error);
    const trouble = error.code === "missing_api_key" ? MISSING_KEY : errorText(error);
    this.#finish({ by: error.requestId ? `Request ${error.requestId}` : "", trouble });
    return `${this.file.name}: ${trouble}`;
  }

  /** Show why there is no heat map. */
  failHeat(sentence) {
    showText(this.#find(".heat-trouble"), sentence);
  }

  /** Mark the label whose heat map is shown; undefined if none is. */
  press(classId) {
    this.pressed = this.answer?.predictions.find((one) => one.classId === classId);
    this.#find(".heat").setAttribute("aria-pressed", String(this.pressed !== undefined));
    for (const button of this.element.querySelectorAll("button.label")) {
      button.setAttribute("aria-pressed", String(button.dataset.class === classId));
    }
  }

  /** Abort the requests and remove the panel. */
  close() {
    this.#abort.abort();
    this.#waiting.stop();
    this.layer.close();
    this.element.remove();
  }

  #finish({ by, trouble }) {
    if (trouble) {
      this.request = undefined;
      this.layer.clear();
    }
    this.element.removeAttribute("aria-busy");
    this.#waiting.stop();
    this.#find(".by").textContent = by;
    showText(this.#find(".trouble"), trouble);
    this.#find(".trouble").classList.toggle("error", !this.refused && trouble !== "Cancelled.");
    this.#find(".again").hidden = trouble === "";
    this.#find(".answer").hidden = trouble !== "";
    this.#find(".heat").hidden = trouble !== "" || !canBeExplained(this.answer);
  }

  #find(selector) {
    return this.element.querySelector(selector);
  }
}

/** Return whether there is a class to draw a heat map for; detectors have frames instead. */
function canBeExplained({ predictions, detections }) {
  return detections === undefined && predictions.length > 0;
}
