/** Show a heat map in place of a card's picture while its button is pressed. */

import { showText } from "./dom.js";

export class HeatMap {
  #plain = "";
  #url = "";

  /** `ask` resolves to the heat map as a PNG blob, or to an error text. */
  constructor({ button, image, trouble, ask }) {
    Object.assign(this, { button, image, trouble, ask, title: image.alt });
    button.addEventListener("click", () => this.#toggle());
  }

  /** Show the plain picture and discard the heat map of an earlier request. */
  reset(plain) {
    URL.revokeObjectURL(this.#url);
    this.#url = "";
    this.#plain = plain;
    showText(this.trouble, "");
    this.#paint(false);
  }

  async #toggle() {
    if (this.button.hasAttribute("aria-busy")) return;
    const on = this.button.getAttribute("aria-pressed") !== "true";
    if (on && !this.#url) await this.#load();
    this.#paint(on && this.#url !== "");
  }

  async #load() {
    this.button.setAttribute("aria-busy", "true");
    const heat = await this.ask();
    this.button.removeAttribute("aria-busy");
    if (heat instanceof Blob) this.#url = URL.createObjectURL(heat);
    showText(this.trouble, heat instanceof Blob ? "" : heat);
  }

  #paint(on) {
    this.button.setAttribute("aria-pressed", String(on));
    this.image.src = on ? this.#url : this.#plain;
    this.image.alt = on ? `${this.title} with the heat map` : this.title;
  }
}
