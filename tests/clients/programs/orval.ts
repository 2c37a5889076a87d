/** Send every form of a request with orval's client for axios, and print what was answered. */
import { readFileSync } from "node:fs";
import { isAxiosError } from "axios";
import { classify } from "./example";
import { type Problem, explain, listModels, predict, predictOriginal } from "./gateway";

const [, , url, file] = process.argv as [string, string, string, string];
const bytes = readFileSync(file);
const image = bytes.toString("base64");
const picture = new File([bytes], "picture.png", { type: "image/png" });
const gateway = { baseURL: url };
const form = { ...gateway, headers: { "Content-Type": "multipart/form-data" } };

const models = await listModels(gateway);
const json = await predict("toy", { image, top_k: 2, report: true }, {}, gateway);
const several = await predict("toy", { images: [image, "no base64!"] }, {}, gateway);
const files = await predict("toy", { image, report: true, labels: ["light", "middle"] }, {}, form);
const raw = await predict("toy", picture, {}, gateway);
const query = await predict("toy", { image }, { labels: ["light", "dark"] }, gateway);
const heat = await explain("toy", { image, grid: 2, format: "json" }, {}, gateway);
const drawn = await explain("toy", { image, grid: 2 }, {}, { ...gateway, responseType: "arraybuffer" });
const original = await predictOriginal({ b64: image }, gateway);
const refused = await predict("none", { image }, {}, gateway).catch((error: unknown) => error);
const example = await classify("toy", image);
const said = await classify("none", image).catch((error: Error) => error.message);

console.log(
  JSON.stringify({
    models: models.data.models.map(({ name }) => name),
    json: labels(json.data),
    several: "results" in several.data ? several.data.results.map((result) => Object.keys(result)) : [],
    files: labels(files.data),
    raw: labels(raw.data),
    query: labels(query.data)?.sort(),
    heat: heat.data.grid.length,
    drawn: drawn.headers["content-type"],
    original: original.data[0]?.[1],
    refused: isAxiosError<Problem>(refused) ? [refused.response?.data.code, refused.response?.data.status] : [],
    example: example.map(({ label }) => label),
    said,
  }),
);

function labels(answer: Awaited<ReturnType<typeof predict>>["data"]) {
  return "predictions" in answer ? answer.predictions.map(({ label }) => label) : undefined;
}
