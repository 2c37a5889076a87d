// npx openapi-typescript http://127.0.0.1:5000/openapi.json --output gateway.ts
import createClient from "openapi-fetch";
import type { paths } from "./gateway";

/** The media types of the responses: without them, a response may be an image. */
type Json = "application/json" | "application/problem+json";

const gateway = createClient<paths, Json>({ baseUrl: "http://127.0.0.1:5000" });

export async function classify(model: string, base64: string) {
  const { data, error } = await gateway.POST("/models/{name}/predict", {
    params: { path: { name: model } },
    body: { image: base64, top_k: 3 },
  });
  if (error) throw new Error(`${error.detail} (${error.code})`);
  return "predictions" in data ? data.predictions : [];
}
