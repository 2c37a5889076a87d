/** Send every form of a request with openapi-fetch and the types of openapi-typescript; print what was answered. */
import { readFileSync } from "node:fs";
import createClient from "openapi-fetch";
import { classify } from "./example";
import type { paths } from "./gateway";

const [, , url, file] = process.argv as [string, string, string, string];
const bytes = readFileSync(file);
const image = bytes.toString("base64");
const picture = new File([bytes], "picture.png", { type: "image/png" });
const params = { path: { name: "toy" } };
type Json = "application/json" | "application/problem+json";
const client = createClient<paths, Json>({ baseUrl: url });
const PREDICT = "/models/{name}/predict";
const EXPLAIN = "/models/{name}/explain";

const models = await client.GET("/models");
const json = await client.POST(PREDICT, { params, body: { image, top_k: 2, report: true } });
const several = await client.POST(PREDICT, { params, body: { images: [image, "no base64!"] } });
// Bytes have the type string in openapi-typescript, so the serializer supplies them.
const files = await client.POST(PREDICT, {
  params,
  body: { image: [""], report: true },
  bodySerializer: (body: unknown) => toForm({ ...(body as object), image: picture }),
});
const raw = await client.POST(PREDICT, {
  params,
  body: "",
  bodySerializer: () => picture,
  headers: { "Content-Type": picture.type },
});
const query = await client.POST(PREDICT, {
  params: { ...params, query: { labels: ["light", "dark"] } },
  body: { image },
});
const heat = await client.POST(EXPLAIN, { params, body: { image, grid: 2, format: "json" } });
const drawn = await client.POST(EXPLAIN, { params, body: { image, grid: 2 }, parseAs: "blob" });
const original = await client.POST("/imageclassifier/predict/", {
  body: { b64: image },
  bodySerializer: toForm,
});
const refused = await client.POST(PREDICT, { params: { path: { name: "none" } }, body: { image } });
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
    heat: heat.data?.grid.length,
    drawn: (drawn.data as Blob | undefined)?.type,
    original: original.data?.[0]?.[1],
    refused: refused.error ? [refused.error.code, refused.error.status] : [],
    example: example.map(({ label }) => label),
    said,
  }),
);

function labels(answer: typeof json.data) {
  return answer && "predictions" in answer ? answer.predictions.map(({ label }) => label) : undefined;
}

function toForm(body: object) {
  const form = new FormData();
  for (const [name, value] of Object.entries(body)) {
    form.append(name, value instanceof Blob ? value : String(value));
  }
  return form;
}
