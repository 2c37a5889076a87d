// npx @hey-api/openapi-ts --input http://127.0.0.1:5000/openapi.json --output gateway
import { predict } from "./gateway";
import { client } from "./gateway/client.gen";

client.setConfig({ baseUrl: "http://127.0.0.1:5000" });

export async function classify(model: string, base64: string) {
  const { data, error } = await predict({
    path: { name: model },
    body: { image: base64, top_k: 3 },
  });
  if (error) throw new Error(`${error.detail} (${error.code})`);
  return data && "predictions" in data ? data.predictions : [];
}
