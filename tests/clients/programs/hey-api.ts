/** Send every form of a request with the client of hey-api, and print what was answered. */
import { readFileSync } from "node:fs";
import { classify } from "./example";
import { explain, listModels, predict, predictOriginal } from "./gateway";
import type { ImageRequest, PredictFiles } from "./gateway";
import { client } from "./gateway/client.gen";

const [, , url, file] = process.argv as [string, string, string, string];
const bytes = readFileSync(file);
const image = bytes.toString("base64");
const picture = new File([bytes], "picture.png", { type: "image/png" });
const path = { name: "toy" };

client.setConfig({ baseUrl: url });

const models = await listModels();
const json = await predict({ path, body: { image, top_k: 2, report: true } });
const several = await predict({ path, body: { images: [image, "no base64!"] } });
const files = await predict({ path, ...multipart({ image: [picture], report: true }) });
const raw = await predict({ path, ...asItIs(picture) });
const query = await predict({ path, query: { labels: ["light", "dark"] }, body: { image } });
const heat = await explain({ path, body: { image, grid: 2 }, headers: { Accept: "application/json" } });
const drawn = await explain({ path, body: { image, grid: 2 } });
const original = await predictOriginal({ body: { b64: image } });
const refused = await predict({ path: { name: "none" }, body: { image } });
const example = await classify("toy", image);
const said = await classify("none", image).catch((error: Error) => error.message);

console.log(
  JSON.stringify({
    models: models.data?.models.map(({ name }) => name),
    json: labels(json.data),
    several: several.data && "results" in several.data ? several.data.results.map((result) => Object.keys(result)) : [],
    files: labels(files.data),
    raw: labels(raw.data),
    query: labels(query.data)?.sort(),
    heat: heat.data && "grid" in heat.data ? heat.data.grid.length : 0,
    drawn: drawn.data instanceof Blob ? drawn.data.type : "",
    original: original.data?.[0]?.[1],
    refused: refused.error ? [refused.error.code, refused.error.status] : [],
    example: example.map(({ label }) => label),
    said,
  }),
);

function labels(answer: typeof json.data) {
  return answer && "predictions" in answer ? answer.predictions.map(({ label }) => label) : undefined;
}

/** The generated functions have types for JSON bodies only. */
function multipart(body: PredictFiles) {
  const headers = { "Content-Type": null };
  return { headers, body: body as unknown as ImageRequest, bodySerializer: toForm };
}

function asItIs(body: Blob) {
  const headers = { "Content-Type": body.type };
  return { headers, body: body as unknown as ImageRequest, bodySerializer: null };
}

function toForm(body: unknown) {
  const form = new FormData();
  for (const [name, value] of Object.entries(body as PredictFiles)) {
    for (const one of [value].flat()) form.append(name, one instanceof Blob ? one : String(one));
  }
  return form;
}
