/** Show that a request is in flight: the seconds since its start, and a button that cancels it. */

const SECOND_MS = 1000;

export class Waiting {
  #row;
  #next;
  #timer;

  /** `cancel` is called when the button is clicked; `next` gets the focus that the button loses. */
  constructor(row, { cancel, next }) {
    this.#row = row;
    this.#next = next;
    row.querySelector("button").addEventListener("click", cancel);
  }

  /** Show the sentence; return a function that hides it unless another one has been shown. */
  start(sentence) {
    clearInterval(this.#timer);
    const text = this.#row.querySelector(".seconds");
    const begin = performance.now();
    const timer = setInterval(() => {
      const seconds = Math.round((performance.now() - begin) / SECOND_MS);
      text.textContent = `${sentence} ${seconds} s`;
    }, SECOND_MS);
    text.textContent = sentence;
    this.#row.hidden = false;
    this.#timer = timer;
    return () => {
      if (this.#timer === timer) this.stop();
    };
  }

  /** Hide the row. */
  stop() {
    clearInterval(this.#timer);
    const focused = this.#row.contains(document.activeElement);
    this.#row.hidden = true;
    if (focused) this.#next.focus();
  }
}
