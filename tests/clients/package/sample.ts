/** A program of somebody who has installed the package. */
import { openAsBlob } from "node:fs";
import { Classifier, ClassifierError, classify } from "image-classification-gateway";
import type { Answer, Model } from "image-classification-gateway";

const [, , url, file] = process.argv as [string, string, string, string];
const classifier = new Classifier(url, { retries: 0 });
const models: Model[] = await classifier.models();
const answer: Answer = await classifier.classify(await openAsBlob(file), { topK: 2 });
const heat: Blob = await classifier.explain(await openAsBlob(file));
const again = await classify(await openAsBlob(file), { url, model: "toy", topK: 1 });

console.log(
  JSON.stringify({
    models: models.map(({ name }) => name),
    labels: answer.predictions.map(({ label }) => label),
    heat: heat.type,
    again: again.predictions.length,
    refused: await codeOf(classifier.classify("no base64!")),
    nowhere: await codeOf(classify("", {})),
  }),
);

async function codeOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
  } catch (error) {
    if (error instanceof ClassifierError) return error.code;
    throw error;
  }
  return "";
}
