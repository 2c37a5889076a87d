/** Frames and labels of detected objects over an image; the texts beside the image say the same. */

import { el } from "./dom.js";

export class BoxLayer {
  /** The layer covers `frame`, in which the image is as large as fits. */
  constructor(frame) {
    this.area = el("div", { class: "area" });
    this.element = el("div", { class: "boxes", "aria-hidden": "true", hidden: true }, this.area);
    frame.append(this.element);
  }

  /** Show objects ({box, color, text}); `size` is the width and height of the image they count. */
  show(objects, size) {
    const [width, height] = size;
    this.area.style.setProperty("--ratio", String(width / height));
    this.area.replaceChildren(...objects.map((one) => boxOf(one, width, height)));
    this.element.hidden = objects.length === 0;
  }

  /** Remove all frames. */
  clear() {
    this.area.replaceChildren();
    this.element.hidden = true;
  }

  /** Remove the layer. */
  close() {
    this.element.remove();
  }
}

function boxOf({ box, color, text }, width, height) {
  const [left, top] = [box.xmin / width, box.ymin / height];
  const label = el("span", { dir: "auto" }, text);
  const made = el("div", { class: `box color-${color}` }, label);
  // A label stands above its frame, or inside of it where the image ends.
  made.classList.toggle("at-top", top < 0.08);
  made.classList.toggle("at-right", left > 0.6);
  Object.assign(made.style, {
    left: `${100 * left}%`,
    top: `${100 * top}%`,
    width: `${(100 * (box.xmax - box.xmin)) / width}%`,
    height: `${(100 * (box.ymax - box.ymin)) / height}%`,
  });
  return made;
}
