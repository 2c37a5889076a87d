import { PercentPipe } from "@angular/common";
import { Component, inject, signal } from "@angular/core";
import { Subscription } from "rxjs";

import { Gateway, Prediction, errorText } from "./gateway";

@Component({
  selector: "app-root",
  imports: [PercentPipe],
  templateUrl: "./app.html",
})
export class App {
  readonly #gateway = inject(Gateway);
  #subscription?: Subscription;
  #chosen?: File;

  protected readonly url = signal("http://127.0.0.1:5000");
  protected readonly apiKey = signal("");
  /** An empty name selects the compatible route, which uses the default model. */
  protected readonly model = signal("");
  protected readonly picture = signal("");
  protected readonly predictions = signal<Prediction[]>([]);
  protected readonly warnings = signal<string[]>([]);
  protected readonly trouble = signal("");

  protected async choose(files: FileList | null): Promise<void> {
    const file = files?.item(0);
    if (!file) return;
    this.#chosen = file;
    const picture = await dataUrl(file).catch(() => "");
    if (this.#chosen !== file) return; // another file was chosen in the meantime
    this.picture.set(picture);
    if (picture) this.ask();
    else this.#begin("The file cannot be read; choose it again.");
  }

  /** Sends the picture; the response to an earlier request is ignored. */
  protected ask(): void {
    this.#begin();
    this.#subscription = this.#request().subscribe({
      next: ({ predictions, warnings }) => {
        this.predictions.set(predictions);
        this.warnings.set(warnings);
      },
      error: (error) => this.trouble.set(errorText(error)),
    });
  }

  #begin(trouble = ""): void {
    this.#subscription?.unsubscribe();
    this.predictions.set([]);
    this.warnings.set([]);
    this.trouble.set(trouble);
  }

  #request() {
    const target = { url: this.url().replace(/\/$/, ""), apiKey: this.apiKey() };
    const base64 = this.picture().replace(/^.*,/, "");
    return this.model()
      ? this.#gateway.classifyByJson(target, this.model(), base64)
      : this.#gateway.classifyByForm(target, base64);
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
