import { Component, inject, signal } from "@angular/core";
import { Observable, Subscription, map, switchMap } from "rxjs";

import { Gateway, Input, Target, errorText } from "./gateway";
import { Result, textOf, withFile } from "./result";

@Component({
  selector: "app-root",
  templateUrl: "./app.html",
})
export class App {
  readonly #gateway = inject(Gateway);
  #subscription?: Subscription;
  #chosen?: File;
  /** The chosen file if it has numbers. */
  #numbers?: File;

  protected readonly url = signal("http://127.0.0.1:5000");
  protected readonly apiKey = signal("");
  /** An empty name selects the compatible route, which uses the default model. */
  protected readonly model = signal("");
  protected readonly picture = signal("");
  protected readonly lines = signal<string[]>([]);
  protected readonly warnings = signal<string[]>([]);
  protected readonly trouble = signal("");
  /** Requests the response as a file: a label map as PNG, or numbers for numpy. */
  protected readonly file = signal<Observable<Blob> | undefined>(undefined);
  protected readonly fileUrl = signal("");

  protected async choose(files: FileList | null): Promise<void> {
    const file = files?.item(0);
    if (!file) return;
    this.#chosen = file;
    this.#numbers = file.name.endsWith(".npy") ? file : undefined;
    if (this.#numbers) {
      this.picture.set("");
      this.ask();
      return;
    }
    const picture = await dataUrl(file).catch(() => "");
    if (this.#chosen !== file) return; // another file was chosen in the meantime
    this.picture.set(picture);
    if (picture) this.ask();
    else this.#begin("The file cannot be read; choose it again.");
  }

  /** Sends the image; the response to an earlier request is ignored. */
  protected ask(): void {
    this.#begin();
    if (this.#numbers && !this.model()) {
      this.trouble.set("Enter the name of a model to send numbers to it.");
      return;
    }
    this.#subscription = this.#request().subscribe({
      next: ({ lines, warnings, file }) => {
        this.lines.set(lines);
        this.warnings.set(warnings);
        this.file.set(file);
      },
      error: (error) => this.trouble.set(errorText(error)),
    });
  }

  protected getFile(): void {
    this.#subscription = this.file()?.subscribe({
      next: (blob) => {
        URL.revokeObjectURL(this.fileUrl());
        this.fileUrl.set(URL.createObjectURL(blob));
      },
      error: (error) => this.trouble.set(errorText(error)),
    });
  }

  #begin(trouble = ""): void {
    this.#subscription?.unsubscribe();
    URL.revokeObjectURL(this.fileUrl());
    this.fileUrl.set("");
    this.file.set(undefined);
    this.lines.set([]);
    this.warnings.set([]);
    this.trouble.set(trouble);
  }

  #request(): Observable<Result> {
    const target = { url: this.url().replace(/\/$/, ""), apiKey: this.apiKey() };
    const base64 = this.picture().replace(/^.*,/, "");
    const input = this.#numbers ?? { image: base64 };
    // The compatible route takes images only, so that its model is not asked for its task.
    return this.model() || this.#numbers
      ? this.#ofAnyTask(target, this.model(), input)
      : this.#gateway.classifyByForm(target, base64).pipe(map(textOf.classes));
  }

  /** Asks a model with the method of its task. */
  #ofAnyTask(target: Target, model: string, input: Input): Observable<Result> {
    const gateway = this.#gateway;
    return gateway.task(target, model).pipe(
      switchMap((task): Observable<Result> => {
        switch (task) {
          case "detection":
            return gateway.detect(target, model, input).pipe(map(textOf.objects));
          case "segmentation":
            return gateway
              .segment(target, model, input)
              .pipe(map(withFile(textOf.areas, gateway.labelMap(target, model, input))));
          case "embedding":
            return gateway
              .embed(target, model, input)
              .pipe(map(withFile(textOf.vector, gateway.npy(target, model, input))));
          case "tensor":
            return gateway
              .run(target, model, input)
              .pipe(map(withFile(textOf.outputs, gateway.npy(target, model, input))));
          default:
            return gateway.classify(target, model, input).pipe(map(textOf.classes));
        }
      }),
    );
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
