import { HttpClient, HttpErrorResponse, HttpResponse } from "@angular/common/http";
import { Injectable, inject } from "@angular/core";
import { Observable, map } from "rxjs";

export interface Prediction {
  classId: string;
  label: string;
  score: number;
}

/** Predictions, best first, and warnings about the model, such as untrained weights. */
export interface Classification {
  predictions: Prediction[];
  warnings: string[];
}

/** Address of a gateway, and the API key; the key is empty where the gateway requires none. */
export interface Target {
  url: string;
  apiKey: string;
}

/** The body of every error response (RFC 9457). */
export interface Problem {
  title: string;
  status: number;
  detail: string;
  code: string;
  request_id: string;
}

type Triple = [classId: string, label: string, score: number];

interface Answer {
  model: string;
  version: number;
  predictions: { class_id: string; label: string; score: number }[];
  warnings?: string[];
}

/** Posts pictures in base64 to an image gateway. */
@Injectable({ providedIn: "root" })
export class Gateway {
  readonly #http = inject(HttpClient);

  /** Posts a form field to the compatible route, which uses the default model. */
  classifyByForm({ url, apiKey }: Target, base64: string): Observable<Classification> {
    const form = new FormData();
    form.append("b64", base64);
    return this.#http
      .post<
        Triple[]
      >(`${url}/imageclassifier/predict/`, form, { headers: headers(apiKey), observe: "response" })
      .pipe(map(fromTriples));
  }

  /** Posts JSON to the route of a named model. */
  classifyByJson({ url, apiKey }: Target, model: string, base64: string): Observable<Classification> {
    const route = `${url}/models/${encodeURIComponent(model)}/predict`;
    const body = { image: base64, top_k: 5 };
    return this.#http
      .post<Answer>(route, body, { headers: headers(apiKey) })
      .pipe(map(fromAnswer));
  }
}

/** Returns the gateway's error message with its code, or a description of the failure. */
export function errorText(error: unknown): string {
  if (!(error instanceof HttpErrorResponse)) {
    return `This is not a gateway's answer: ${error}`;
  }
  const problem: Partial<Problem> | null = error.error;
  return problem?.code ? `${problem.detail} (${problem.code})` : error.message;
}

function headers(apiKey: string): Record<string, string> {
  return apiKey ? { "X-API-Key": apiKey } : {};
}

/** Reads the compatible route's response; its warnings are in a header. */
function fromTriples({ body, headers }: HttpResponse<Triple[]>): Classification {
  const predictions = body!.map(([classId, label, score]) => ({ classId, label, score }));
  const warning = headers.get("X-Model-Warning");
  return { predictions, warnings: warning ? [warning] : [] };
}

function fromAnswer({ predictions, warnings = [] }: Answer): Classification {
  return {
    predictions: predictions.map(({ class_id, label, score }) => ({ classId: class_id, label, score })),
    warnings,
  };
}
