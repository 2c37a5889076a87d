/** Let a few tasks run at once; the others wait for their turn, first come first served. */

export class Turns {
  #free;
  #waiting = [];

  constructor(most) {
    this.#free = most;
  }

  /** Run the task when it is its turn and return its result. */
  async take(task) {
    if (this.#free === 0) await new Promise((resolve) => this.#waiting.push(resolve));
    else this.#free -= 1;
    try {
      return await task();
    } finally {
      this.#pass();
    }
  }

  #pass() {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#free += 1;
  }
}
