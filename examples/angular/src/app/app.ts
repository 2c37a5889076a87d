import { PercentPipe } from "@angular/common";
import { Component, inject, signal } from "@angular/core";
import { Subscription } from "rxjs";

import { Gateway, Prediction, reason } from "./gateway";

@Component({
  selector: "app-root",
  imports: [PercentPipe],
  templateUrl: "./app.html",
})
export class App {
  readonly #gateway = inject(Gateway);
  #asking?: Subscription;
  #chosen?: File;

  protected readonly url = signal("http://127.0.0.1:5000");
  protected readonly apiKey = signal("");
  /** The empty name is the original's route, which asks the first model. */
  protected readonly model = signal("");
  protected readonly picture = signal("");
  protected readonly predictions = signal<Prediction[]>([]);
  protected readonly trouble = signal("");

  protected async choose(files: FileList | null): Promise<void> {
    const file = files?.item(0);
    if (!file) return;
    this.#chosen = file;
    const picture = await dataUrl(file).catch(() => "");
    if (this.#chosen !== file) return; // another one was chosen meanwhile
    this.picture.set(picture);
    if (picture) this.ask();
    else this.#begin("The file cannot be read; choose it again.");
  }

  /** Asks; the answer to an earlier question no longer counts. */
  protected ask(): void {
    this.#begin();
    this.#asking = this.#question().subscribe({
      next: (predictions) => this.predictions.set(predictions),
      error: (error) => this.trouble.set(reason(error)),
    });
  }

  #begin(trouble = ""): void {
    this.#asking?.unsubscribe();
    this.predictions.set([]);
    this.trouble.set(trouble);
  }

  #question() {
    const target = { url: this.url().replace(/\/$/, ""), apiKey: this.apiKey() };
    const base64 = this.picture().replace(/^.*,/, "");
    return this.model()
      ? this.#gateway.askByJson(target, this.model(), base64)
      : this.#gateway.askByForm(target, base64);
  }
}

function dataUrl(file: File): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result as string);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}
