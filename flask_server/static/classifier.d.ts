/**
 * Ask an image gateway what is in a picture, from any page of any site.
 *
 *     import { classify } from "https://gateway.example/static/classifier.js";
 *     const { predictions } = await classify(file, { model: "digits", topK: 3 });
 */

/** A file, or its base64 text with or without the head of a data URL. */
export type Picture = Blob | string;

export interface AskOptions {
  /** Name of the model; the gateway's first one by default. */
  model?: string;
  /** Pins a version; the newest by default. */
  version?: number;
  /** Ends the call; it rejects with the signal's reason. */
  signal?: AbortSignal;
  /** False uploads a huge photo as it is, instead of a copy of at least twice the model's input. */
  shrink?: boolean;
}

export interface ClassifyOptions extends AskOptions {
  /** How many classes are wanted; five by default. */
  topK?: number;
}

export interface ExplainOptions extends AskOptions {
  /** The class whose evidence is looked for; the best one by default. */
  classId?: string;
}

export interface GatewayOptions {
  /** Root of the gateway; the one this file came from by default. */
  url?: string;
  /** Sent as `X-API-Key`. */
  apiKey?: string;
}

export interface Prediction {
  classId: string;
  label: string;
  score: number;
}

export interface Answer {
  model: string;
  version: number;
  /** Best first. */
  predictions: Prediction[];
  /** What the predictions must be read with, such as that the model is untrained. */
  warnings: string[];
  requestId: string | null;
  /** Milliseconds per stage (decode, preprocess, serving, postprocess) and in total. */
  serverMs: Record<string, number>;
  /** Milliseconds from the first byte sent to the last byte read. */
  elapsedMs: number;
  /** Size of the request's body. */
  sentBytes: number;
}

/** One entry of `GET /models`, as the gateway sends it. */
export interface Model {
  name: string;
  default: boolean;
  ready: boolean;
  version: number | null;
  versions: { version: number; state: string; error: string }[];
  /** The rest is absent until a version is ready. */
  trained?: boolean;
  input?: { width: number; height: number; color: string; fit: string };
  output?: { activation: string; classes: number };
  source?: string;
  warnings?: string[];
  error?: { code: string; detail: string };
}

export interface Failure {
  code: string;
  status: number;
  detail: string;
  requestId?: string | null;
  retryAfterS?: number | null;
  cause?: unknown;
}

/** What the server, or the way to it, said instead of an answer. */
export class ClassifierError extends Error {
  constructor(failure: Failure);
  /** The gateway's own code; `unreachable`, `unreadable_file` or `unexpected_answer` where there is none. */
  code: string;
  /** The HTTP status; 0 where no answer came. */
  status: number;
  /** One sentence for a person. */
  detail: string;
  requestId: string | null;
  /** Seconds after which the same request may succeed. */
  retryAfterS: number | null;
}

/** One gateway, and what is known of its models. */
export class Classifier {
  /** `url` is the root of the gateway; the one this file came from by default. */
  constructor(url?: string, options?: { apiKey?: string; retries?: number });
  apiKey: string;
  /** How often a 503 is asked again after its `Retry-After`; two by default. */
  retries: number;
  /** Says what is in the picture. */
  classify(picture: Picture, options?: ClassifyOptions): Promise<Answer>;
  /** Returns the picture as PNG with what the model looked at. */
  explain(picture: Picture, options?: ExplainOptions): Promise<Blob>;
  /** Returns all models, the default one first. */
  models(options?: { signal?: AbortSignal }): Promise<Model[]>;
  /** Returns the address that `classify` asks. */
  predictUrl(model: string, options?: { version?: number; topK?: number }): string;
}

/** Says what is in the picture, at the gateway this file came from or the one named by `url`. */
export function classify(
  picture: Picture,
  options?: ClassifyOptions & GatewayOptions,
): Promise<Answer>;
