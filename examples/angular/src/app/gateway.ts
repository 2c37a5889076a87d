import { HttpClient, HttpErrorResponse } from "@angular/common/http";
import { Injectable, inject } from "@angular/core";
import { Observable, map } from "rxjs";

export interface Prediction {
  classId: string;
  label: string;
  score: number;
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
  classifyByForm({ url, apiKey }: Target, base64: string): Observable<Prediction[]> {
    const form = new FormData();
    form.append("b64", base64);
    return this.#http
      .post<Triple[]>(`${url}/imageclassifier/predict/`, form, { headers: headers(apiKey) })
      .pipe(map((triples) => triples.map(fromTriple)));
  }

  /** Posts JSON to the route of a named model. */
  classifyByJson({ url, apiKey }: Target, model: string, base64: string): Observable<Prediction[]> {
    const route = `${url}/models/${encodeURIComponent(model)}/predict`;
    const body = { image: base64, top_k: 5 };
    return this.#http
      .post<Answer>(route, body, { headers: headers(apiKey) })
      .pipe(map(({ predictions }) => predictions.map(fromJson)));
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

function fromTriple([classId, label, score]: Triple): Prediction {
  return { classId, label, score };
}

function fromJson({ class_id: classId, label, score }: Answer["predictions"][number]): Prediction {
  return { classId, label, score };
}
