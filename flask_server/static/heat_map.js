/** Show heat maps over a card's image, with a legend below it and a slider for their opacity. */

import { formatOf, readable } from "./bars.js";
import { heatPixels, maximumOf, MIN_HEAT } from "./heat_colors.js";

/** Pixels of the longer side; the browser enlarges the map smoothly. */
const SIDE = 192;

export class HeatMap {
  #known = new Map();
  #pending = null;
  #shown = "";

  /** `changed` is called with the key of the heat map that is shown now, or with an empty string. */
  constructor({ figure, image, plain, changed }) {
    Object.assign(this, { image, plain, changed, title: image.alt });
    this.canvas = figure.querySelector("canvas");
    this.legend = figure.querySelector(".legend");
    const slider = figure.querySelector("input");
    const fade = () => { this.canvas.style.opacity = slider.value / 100; };
    slider.addEventListener("input", fade);
    fade();
  }

  /** Stop what is loading, and discard the heat maps of earlier requests. */
  reset() {
    this.#stop();
    this.#known.clear();
    this.#paint("");
  }

  /**
   * Show the heat map of this key, or hide it; `load(signal)` resolves to it, or to null on failure.
   *
   * Numbers are drawn over the image. Where the browser cannot show the image, the gateway has drawn
   * both, as a blob.
   */
  async toggle(key, load) {
    if (this.#pending?.key === key) return;
    this.#stop();
    if (this.#shown === key) this.#paint("");
    else if (this.#known.has(key) || (await this.#load(key, load))) this.#paint(key);
  }

  #stop() {
    this.#pending?.abort.abort();
    this.#pending = null;
  }

  /** Return whether the heat map has arrived, and is still wanted. */
  async #load(key, load) {
    const pending = { key, abort: new AbortController() };
    this.#pending = pending;
    const heat = await load(pending.abort.signal);
    if (this.#pending !== pending) return false;
    this.#pending = null;
    if (heat) this.#known.set(key, heat);
    return heat !== null;
  }

  #paint(key) {
    this.#shown = key;
    const heat = this.#known.get(key);
    const numbers = heat?.grid !== undefined;
    if (numbers) this.#draw(heat);
    this.canvas.hidden = !numbers;
    this.legend.hidden = !numbers;
    this.#showDrawn(heat instanceof Blob ? heat : null);
    this.image.alt = heat ? `${this.title} with the heat map` : this.title;
    this.changed(key);
  }

  #showDrawn(blob) {
    if (this.drawn) URL.revokeObjectURL(this.drawn);
    if (blob || this.drawn) this.image.src = blob ? URL.createObjectURL(blob) : this.plain;
    this.drawn = blob ? this.image.src : "";
  }

  #draw(heat) {
    const scale = SIDE / Math.max(...heat.size);
    const [width, height] = heat.size.map((length) => Math.max(1, Math.round(length * scale)));
    Object.assign(this.canvas, { width, height });
    this.canvas.getContext("2d").putImageData(new ImageData(heatPixels(heat, width, height), width, height), 0, 0);
    this.legend.querySelector("p").textContent = sentence(heat);
  }
}

/** Say in plain words what the heat map shows. */
export function sentence(heat) {
  const { label, score } = heat;
  const most = maximumOf(heat);
  if (most < MIN_HEAT) return `No single cell decides the score of ${readable(label)}.`;
  const write = formatOf([score, Math.max(0, score - most)]);
  const fall = `from ${write(score)} to ${write(Math.max(0, score - most))}`;
  return `Bright areas speak for ${readable(label)}. With the brightest one hidden, its score falls ${fall}.`;
}
