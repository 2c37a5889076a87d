import { Observable } from "rxjs";

import { Classification, Detections, Embedding, Outputs, Segmentation } from "./gateway";

/** The response of a model of any task as lines of text. */
export interface Result {
  lines: string[];
  warnings: string[];
  /** Requests the same response as a file. */
  file?: Observable<Blob>;
}

/** Adds the request for a file to the text of a response. */
export function withFile<T>(text: (answer: T) => Result, file: Observable<Blob>) {
  return (answer: T): Result => ({ ...text(answer), file });
}

const percent = new Intl.NumberFormat("en", {
  style: "percent",
  minimumFractionDigits: 1,
  maximumFractionDigits: 1,
});

export const textOf = {
  classes: ({ predictions, warnings }: Classification): Result => ({
    lines: predictions.map(({ label, score }) => `${label}: ${percent.format(score)}`),
    warnings,
  }),
  objects: ({ detections, warnings }: Detections): Result => ({
    lines: detections.map(
      ({ label, score, box: { xmin, ymin, xmax, ymax } }) =>
        `${label}: ${percent.format(score)} at ${xmin}, ${ymin} to ${xmax}, ${ymax}`,
    ),
    warnings,
  }),
  areas: ({ areas, warnings }: Segmentation): Result => ({
    lines: areas.map(({ label, share, pixels }) => `${label}: ${percent.format(share)}, ${pixels} pixels`),
    warnings,
  }),
  vector: ({ embedding, dimensions, warnings }: Embedding): Result => ({
    lines: [`${dimensions} numbers: ${embedding.slice(0, 8).map((value) => value.toFixed(3)).join(", ")}`],
    warnings,
  }),
  outputs: ({ outputs, warnings }: Outputs): Result => ({
    lines: Object.entries(outputs).map(([name, values]) => `${name}: ${JSON.stringify(values)}`),
    warnings,
  }),
};
