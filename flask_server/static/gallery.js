/** The cards of the page: one request for each image and model, a limited number at a time. */

import { readable } from "./bars.js";
import { Card } from "./card.js";
import { ClassifierError } from "./classifier.js";
import { ConcurrencyLimit } from "./concurrency_limit.js";
import { errorText } from "./dom.js";

/** Limited because each request may decode a huge photo in full. */
const MAX_IN_FLIGHT = 3;

/** Where the cards are below everything else, as in page.css. */
const PHONE = matchMedia("(max-width: 36rem)");

const find = (id) => document.getElementById(id);

export class Gallery {
  #limit = new ConcurrencyLimit(MAX_IN_FLIGHT);
  #cards = new Set();
  #page;

  /**
   * `page` has the classifier, the promise `loaded` of the models, `targets()` for the options of each
   * request, `thresholdOf(model)` for the least score of detected objects, `say` for screen readers, `failed(error)`, `answered(card, answer)` and `removed(card)`.
   */
  constructor(page) {
    this.#page = page;
    find("clear").addEventListener("click", () => [...this.#cards].forEach((card) => this.#remove(card)));
  }

  /** Add images and ask for their labels; the newest card comes first. */
  add(files) {
    const fresh = files.map((file) => this.#card(file));
    find("cards").prepend(...fresh.map((card) => card.element));
    find("results").hidden = false;
    for (const card of fresh) {
      this.#cards.add(card);
      this.#ask(card);
    }
    if (PHONE.matches) fresh[0].element.scrollIntoView();
  }

  /** Repeat the requests that were refused for want of an API key. */
  askRefused() {
    for (const card of this.#cards) {
      for (const panel of card.panels) if (panel.refused) this.#askOne(card, panel);
    }
  }

  #card(file) {
    return new Card(file, {
      ask: (card) => this.#ask(card),
      askOne: (card, panel) => this.#askOne(card, panel),
      cancel: (card, panel) => this.#cancel(card, panel),
      explain: (card, panel, prediction) => this.#explain(card, panel, prediction),
      remove: (card) => this.#remove(card),
    });
  }

  #ask(card) {
    card.expect(this.#page.targets().length).forEach((panel, index) => this.#send(card, panel, index));
  }

  #askOne(card, panel) {
    card.expectOne(panel);
    this.#send(card, panel, card.panels.indexOf(panel));
  }

  async #send(card, panel, index) {
    const { classifier, loaded, targets, thresholdOf, say } = this.#page;
    const { signal } = panel;
    await loaded; // an image may be added before the models are loaded
    const options = targets()[index] ?? targets()[0];
    try {
      const answer = await this.#limit.run(() => classifier.classify(card.file, { ...options, signal }));
      const url = classifier.predictUrl(answer.model, options);
      const threshold = thresholdOf(answer.model);
      const line = panel.show(answer, { url, withKey: classifier.apiKey !== "", threshold });
      say(`${card.file.name}: ${line}`);
      if (index === 0) this.#page.answered(card, line);
    } catch (error) {
      if (!signal.aborted) this.#fail(panel, error);
    }
  }

  #fail(panel, error) {
    rethrowUnexpected(error);
    const { say, failed } = this.#page;
    say(panel.fail(error));
    failed(error);
  }

  #cancel(card, panel) {
    card.stopHeat();
    panel.cancel();
    this.#page.say(`${card.file.name}: cancelled.`);
  }

  #explain(card, panel, prediction) {
    return card.toggleHeat(panel, prediction, (signal) => this.#heat(card, panel, prediction, signal));
  }

  /** Return the heat map, or null after showing why there is none. */
  async #heat(card, panel, { classId, label }, signal) {
    const { classifier, say } = this.#page;
    const { model, version } = panel.answer;
    const ask = card.unseen ? classifier.explain : classifier.heat;
    const stop = panel.waitFor("Computing the heat map…");
    panel.failHeat("");
    say("Computing the heat map…");
    try {
      const options = { model, version, classId, signal };
      const heat = await this.#limit.run(() => ask.call(classifier, card.file, options));
      say(`The heat map shows the areas that support ${readable(label)}.`);
      return heat;
    } catch (error) {
      if (signal.aborted) return null;
      rethrowUnexpected(error);
      panel.failHeat(errorText(error));
      say(errorText(error));
      return null;
    } finally {
      stop();
    }
  }

  #remove(card) {
    card.close();
    this.#cards.delete(card);
    find("results").hidden = this.#cards.size === 0;
    find(this.#cards.size === 0 ? "pick" : "results-title").focus();
    this.#page.say(`${card.file.name} is removed.`);
    this.#page.removed(card);
  }
}

/** Rethrow errors other than ClassifierError: they are bugs of the page and belong in the console. */
export function rethrowUnexpected(error) {
  if (!(error instanceof ClassifierError)) throw error;
}
