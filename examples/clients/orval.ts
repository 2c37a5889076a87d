// npx orval --config orval.config.mjs
import { isAxiosError } from "axios";
import { predict, type Problem } from "./gateway";

const gateway = { baseURL: "http://127.0.0.1:5000" };

export async function classify(model: string, base64: string) {
  try {
    const { data } = await predict(model, { image: base64 }, { top_k: 3 }, gateway);
    return "predictions" in data ? data.predictions : [];
  } catch (error) {
    if (!isAxiosError<Problem>(error) || !error.response) throw error;
    throw new Error(`${error.response.data.detail} (${error.response.data.code})`);
  }
}
