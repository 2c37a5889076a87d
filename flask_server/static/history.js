/** The images that this browser has asked about before: a strip of thumbnails that can be asked again. */

import { el } from "./dom.js";
import { PictureStore } from "./picture_store.js";

/** Remembers that a visitor has turned the history off. */
const OFF = "image-gateway-no-history";

export class History {
  #store = new PictureStore();
  #ids = new Map();
  #urls = new Map();
  #shown = Promise.resolve();

  /** `again` is called with the file of a thumbnail that is clicked; `box` is the check box that turns all this on. */
  constructor(section, { box, again, say }) {
    Object.assign(this, { section, box, again, say });
    box.checked = !isOff();
    box.addEventListener("change", () => this.#turn(box.checked));
    section.querySelector(".clear").addEventListener("click", () => this.#clear());
    this.#begin();
  }

  /** Remember the image of a card and its best label. */
  async keep(card, line) {
    if (!this.box.checked) return;
    if (this.#ids.has(card)) return this.#store.rename(await this.#ids.get(card), line);
    this.#ids.set(card, this.#store.add(card.file, line).catch(() => null));
    await this.#ids.get(card);
  }

  /** Show an image here when its card is gone. */
  async release(card) {
    await this.#ids.get(card);
    this.#ids.delete(card);
    await this.#show();
  }

  async #begin() {
    if (!this.box.checked) return;
    await this.#store.load();
    await this.#show();
  }

  /** Draw the strip after earlier calls have drawn theirs, so that the newest state is the last. */
  #show() {
    this.#shown = this.#shown.then(() => this.#draw());
    return this.#shown;
  }

  async #draw() {
    const onCards = await Promise.all(this.#ids.values());
    const entries = this.#store.entries().filter(({ id }) => !onCards.includes(id));
    this.#renewUrls(entries);
    this.section.querySelector("ul").replaceChildren(...entries.map((entry) => this.#thumbnail(entry)));
    this.section.querySelector(".note").textContent = (await this.#store.isLasting())
      ? "Kept in this browser only: the last 24, as small copies."
      : "This browser stores nothing: they are gone when the page is closed.";
    this.section.hidden = entries.length === 0;
  }

  /** Make the missing addresses of images, and give back those that are shown no longer. */
  #renewUrls(entries) {
    const shown = new Map(entries.map(({ id, picture }) => [id, this.#urls.get(id) ?? URL.createObjectURL(picture)]));
    for (const [id, url] of this.#urls) if (!shown.has(id)) URL.revokeObjectURL(url);
    this.#urls = shown;
  }

  #thumbnail({ id, name, line, picture }) {
    const image = el("img", { src: this.#urls.get(id), alt: "" });
    const button = el("button", { type: "button", class: "thumbnail", title: name }, image);
    button.append(el("span", { class: "visually-hidden" }, `${name}: `), el("span", {}, line));
    button.addEventListener("click", () => this.again(new File([picture], name, { type: picture.type })));
    return el("li", {}, button);
  }

  async #clear() {
    await this.#store.clear();
    this.#ids.clear();
    await this.#show();
    this.say("The earlier pictures are forgotten.");
  }

  async #turn(on) {
    remember(on);
    if (!on) await this.#clear();
  }
}

function isOff() {
  try {
    return localStorage.getItem(OFF) !== null;
  } catch {
    return false; // storage is blocked
  }
}

function remember(on) {
  try {
    if (on) localStorage.removeItem(OFF);
    else localStorage.setItem(OFF, "true");
  } catch {
    // Storage is blocked: the choice lasts until the page is closed.
  }
}
