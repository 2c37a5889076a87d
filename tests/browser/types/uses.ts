/** A program in TypeScript that uses every export; it need only compile. */
import {
  Classifier,
  ClassifierError,
  classify,
  type Answer,
  type Detections,
  type Embedding,
  type Heat,
  type Model,
  type Outputs,
  type Prediction,
  type Segmentation,
} from "./classifier.js";

export async function label(file: File, signal: AbortSignal): Promise<string> {
  const answer: Answer = await classify(file, { model: "digits", topK: 3, signal });
  const [best]: Prediction[] = answer.predictions;
  return `${best?.label} ${best?.score.toFixed(2)} ${answer.serverMs["total"]}`;
}

export async function withKey(base64: string): Promise<Blob> {
  const classifier = new Classifier("https://gateway.example", { apiKey: "k", retries: 0 });
  const models: Model[] = await classifier.models();
  const name: string | undefined = models.find((model) => model.trained)?.name;
  await classifier.classify(base64, { model: name, version: 2, shrink: false });
  return classifier.explain(base64, { classId: "817" });
}

export async function numbers(file: File): Promise<number> {
  const classifier = new Classifier();
  const { grid, box, size }: Heat = await classifier.heat(file, { classId: "817" });
  const { spec } = await classifier.model("digits");
  return (grid[0]?.[0] ?? 0) + box[2] / size[0] + (spec?.labels.length ?? 0);
}

export async function everyTask(file: File): Promise<(number | string)[]> {
  const gateway = new Classifier();
  const { detections, size }: Detections = await gateway.detect(file, { threshold: 0.3, topK: 9 });
  const { areas }: Segmentation = await gateway.segment(file, { model: "streets" });
  const { embedding, normalized }: Embedding = await gateway.embed(file, { normalize: true });
  const { outputs }: Outputs = await gateway.run([[1, 2], [3, 4]], { output: "y" });
  const files: Blob[] = [await gateway.labelMap(file), await gateway.npy([1, 2], { normalize: false })];
  const numbers: Prediction[] = (await gateway.classify([[0.5]])).predictions;
  const first = detections[0]?.box.xmin ?? size[0];
  return [first, areas[0]?.share ?? 0, embedding[0] ?? 0, String(normalized), files.length, numbers.length, typeof outputs["y"]];
}

export function why(error: unknown): string {
  if (!(error instanceof ClassifierError)) throw error;
  const wait: number | null = error.isAboutModels ? 0 : error.retryAfterS;
  return `${error.code} ${error.status} ${error.detail} ${error.requestId} ${wait}`;
}

// @ts-expect-error a picture is a Blob or a text, numbers are lists
void classify(7);
// @ts-expect-error a label map needs a picture
void new Classifier().labelMap([1, 2]);
// @ts-expect-error there is no such option
void classify("", { topk: 3 });
