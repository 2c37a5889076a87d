/** A card of the page: one image, the answer of one or two models, and a menu of further actions. */

import { AnswerPanel } from "./answer_panel.js";
import { BoxLayer } from "./box_layer.js";
import { hideCopy, offerCopies } from "./copies.js";
import { HeatMap } from "./heat_map.js";
import { wireMenu } from "./menu.js";
import { snippets } from "./snippets.js";

/** Images narrower than this are shown pixel by pixel. */
const TINY = 100;

const template = (id) => document.getElementById(id);

export class Card {
  #preview;
  #heat;
  #actions;
  panels = [];

  /** `actions` (ask, askOne, cancel, explain, remove) are called with the card, and the panel concerned. */
  constructor(file, actions) {
    this.file = file;
    this.#actions = actions;
    this.element = template("card").content.firstElementChild.cloneNode(true);
    this.element.setAttribute("aria-label", file.name);
    this.#find(".name").textContent = file.name;
    this.#preview = URL.createObjectURL(file);
    this.#heat = this.#heatMap();
    this.#wireMenu();
  }

  /** Return this many panels, made to wait for an answer; former heat maps and copied texts go. */
  expect(count) {
    this.#heat.reset();
    hideCopy(this.element);
    while (this.panels.length > count) this.panels.pop().close();
    while (this.panels.length < count) this.#addPanel();
    this.element.classList.toggle("compared", count > 1);
    for (const panel of this.panels) panel.wait();
    return this.panels;
  }

  /** Make one panel wait for an answer anew. */
  expectOne(panel) {
    this.#heat.reset();
    hideCopy(this.element);
    panel.wait();
  }

  /** Show or hide the heat map of a class; `load(signal)` resolves to it, or to null. */
  toggleHeat(panel, { classId }, load) {
    return this.#heat.toggle(`${this.panels.indexOf(panel)} ${classId}`, load);
  }

  /** Return whether the browser cannot show the image. */
  get unseen() {
    return this.#find("figure").classList.contains("unseen");
  }

  /** Stop loading the heat map. */
  stopHeat() {
    this.#heat.reset();
  }

  /** Remove the card and abort its requests. */
  close() {
    this.#heat.reset();
    for (const panel of this.panels) panel.close();
    this.#find("img").removeAttribute("src"); // it may still be loading
    URL.revokeObjectURL(this.#preview);
    this.element.remove();
  }

  #addPanel() {
    const { askOne, cancel, explain } = this.#actions;
    const actions = {
      ask: (one) => askOne(this, one),
      cancel: (one) => cancel(this, one),
      explain: (one, prediction) => explain(this, one, prediction),
    };
    const layer = new BoxLayer(this.#find(".frame"));
    const panel = new AnswerPanel(template("panel"), this.file, actions, layer);
    this.panels.push(panel);
    this.#find(".answers").append(panel.element);
  }

  #heatMap() {
    const image = this.#find("img");
    image.alt = this.file.name;
    image.addEventListener("load", () => fit(image, image.naturalWidth));
    // Browsers cannot show every format that the gateway reads.
    image.addEventListener("error", () => fit(image, 0));
    image.src = this.#preview;
    const changed = (key) => this.#press(key);
    return new HeatMap({ figure: this.#find("figure"), image, plain: this.#preview, changed });
  }

  #press(key) {
    const [index, ...classId] = key.split(" ");
    this.panels.forEach((panel, at) => panel.press(String(at) === index ? classId.join(" ") : undefined));
  }

  #wireMenu() {
    const menu = this.#find(".menu");
    menu.firstElementChild.setAttribute("aria-label", `More for ${this.file.name}`);
    wireMenu(menu);
    menu.firstElementChild.addEventListener("click", () => {
      menu.querySelector(".copies").hidden = this.#snippets() === null;
    });
    menu.querySelector(".again").addEventListener("click", () => this.#actions.ask(this));
    menu.querySelector(".remove").addEventListener("click", () => this.#actions.remove(this));
    offerCopies(this.element, () => this.#snippets());
  }

  /** Return the request of the first panel with an answer, as programs; null before there is one. */
  #snippets() {
    const answered = this.panels.find(({ request }) => request);
    return answered ? snippets({ file: this.file, ...answered.request }) : null;
  }

  #find(selector) {
    return this.element.querySelector(selector);
  }
}

function fit(image, width) {
  image.closest("figure").classList.toggle("unseen", width === 0);
  image.classList.toggle("tiny", width < TINY);
}
