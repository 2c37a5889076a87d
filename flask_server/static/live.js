/** Ask about what the camera sees, image after image, with one request in flight. */

import { showBars } from "./bars.js";
import { BoxLayer } from "./box_layer.js";
import { frameOf, openCamera, photoOf, stopCamera } from "./camera.js";
import { errorText, showText } from "./dom.js";
import { framesOf } from "./objects.js";

/** Longer side of the images that are sent, also to detectors, the least time between two, and labels shown. */
const [SIDE, DETECTOR_SIDE, LEAST_MS, TOP_K] = [320, 640, 100, 3];

/** The rate is that of the last seconds. */
const WINDOW_MS = 2000;

export class LiveCamera {
  #stream = null;
  #abort;
  #times;
  /** A number for each class that was found, so that its frames keep their colour. */
  #colors = new Map();

  /**
   * `classify(file, options)` asks the chosen model, `detectsFrom()` is the least score of its objects, undefined
   * unless it is a detector; `keep(file)` makes a card of the current image.
   */
  constructor(section, { button, classify, detectsFrom, keep, say }) {
    Object.assign(this, { section, button, classify, detectsFrom, keep, say });
    this.video = section.querySelector("video");
    this.frame = section.querySelector(".frame");
    this.layer = new BoxLayer(this.frame);
    section.querySelector(".stop").addEventListener("click", () => this.stop());
    section.querySelector(".keep").addEventListener("click", async () => keep(await photoOf(this.video)));
    document.addEventListener("visibilitychange", () => document.hidden && this.stop());
  }

  /** Start the camera; reject where it cannot be used. */
  async start() {
    if (this.#abort) return;
    this.#abort = new AbortController();
    try {
      this.#stream = await openCamera();
    } catch (error) {
      this.#abort = undefined;
      throw error;
    }
    this.#open();
    await this.video.play();
    await this.#run(this.#abort.signal);
  }

  /** Stop the camera and the request in flight. */
  stop() {
    if (!this.#stream) return;
    this.#abort.abort();
    this.#abort = undefined;
    stopCamera(this.video, this.#stream);
    this.#stream = null;
    this.section.hidden = true;
    this.layer.clear();
    this.button.focus();
    this.say("The live camera is off.");
  }

  #open() {
    this.#times = [];
    this.video.srcObject = this.#stream;
    showText(this.section.querySelector(".error"), "");
    this.section.querySelector(".bars").replaceChildren();
    this.section.querySelector(".rate").textContent = "Waiting for the first labels…";
    this.section.hidden = false;
    this.section.querySelector(".stop").focus();
    this.say("The live camera is on.");
  }

  async #run(signal) {
    while (!signal.aborted) {
      const begin = performance.now();
      try {
        this.#show(await this.#ask(signal));
      } catch (error) {
        if (!signal.aborted) this.#fail(error);
        return;
      }
      await pause(LEAST_MS - (performance.now() - begin));
    }
  }

  async #ask(signal) {
    const threshold = this.detectsFrom();
    const [side, most] = threshold === undefined ? [SIDE, { topK: TOP_K }] : [DETECTOR_SIDE, { threshold }];
    return this.classify(await frameOf(this.video, side), { ...most, signal });
  }

  #show({ predictions, detections, size }) {
    if (!this.#stream) return;
    const now = performance.now();
    this.#times = [...this.#times.filter((time) => now - time < WINDOW_MS), now];
    showBars(this.section.querySelector(".bars"), predictions.slice(0, TOP_K));
    this.#showFrames(detections ?? [], size ?? [1, 1]);
    this.frame.classList.toggle("whole", detections !== undefined);
    this.section.querySelector(".rate").textContent = rateText(this.#times);
  }

  #showFrames(detections, size) {
    for (const { classId } of detections) {
      if (!this.#colors.has(classId)) this.#colors.set(classId, this.#colors.size);
    }
    this.layer.show(framesOf(detections, this.#colors), size);
  }

  #fail(error) {
    if (error.code === undefined) throw error;
    this.layer.clear();
    this.section.querySelector(".rate").textContent = "Stopped.";
    showText(this.section.querySelector(".error"), errorText(error));
    this.#stream.getTracks().forEach((track) => track.stop());
  }
}

/** Return the rate of responses that arrived at these times, in milliseconds. */
function rateText(times) {
  if (times.length < 2) return "Measuring the rate…";
  const rate = (1000 * (times.length - 1)) / (times.at(-1) - times[0]);
  return `${rate.toFixed(1)} pictures per second`;
}

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)));
}
