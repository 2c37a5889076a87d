/** Run a limited number of tasks at a time; further tasks wait in order of arrival. */

export class ConcurrencyLimit {
  #free;
  #waiting = [];

  constructor(maxRunning) {
    this.#free = maxRunning;
  }

  /** Run the task as soon as the limit allows it, and return its result. */
  async run(task) {
    if (this.#free === 0) await new Promise((resolve) => this.#waiting.push(resolve));
    else this.#free -= 1;
    try {
      return await task();
    } finally {
      this.#release();
    }
  }

  #release() {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#free += 1;
  }
}
