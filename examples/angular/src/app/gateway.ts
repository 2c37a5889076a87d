import { HttpClient, HttpErrorResponse, HttpResponse } from "@angular/common/http";
import { Injectable, inject } from "@angular/core";
import { Observable, catchError, from, map, switchMap, throwError } from "rxjs";

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

/** Whole pixels of the upright image; xmax and ymax are just outside. */
export interface Box {
  xmin: number;
  ymin: number;
  xmax: number;
  ymax: number;
}

export interface Detection extends Prediction {
  box: Box;
}

/** Objects in an image of this width and height, best first. */
export interface Detections {
  detections: Detection[];
  size: [width: number, height: number];
  warnings: string[];
}

/** The pixels of one class; the share is that of what the model sees. */
export interface ClassArea {
  classId: string;
  label: string;
  pixels: number;
  share: number;
}

/** The areas of the classes, the largest first. */
export interface Segmentation {
  areas: ClassArea[];
  size: [width: number, height: number];
  warnings: string[];
}

export interface Embedding {
  embedding: number[];
  dimensions: number;
  normalized: boolean;
  warnings: string[];
}

/** Numbers, or nested lists of numbers or strings, by the name of the output. */
export interface Outputs {
  outputs: Record<string, unknown>;
  warnings: string[];
}

/** Nested lists of numbers in the shape of the model's input. */
export type Tensor = number[] | Tensor[];

/** An image in base64, numbers, or a file: an image, or a `.npy` file of numpy. */
export type Input = { image: string } | { tensor: Tensor } | Blob;

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
type Parameters = Record<string, string | number | boolean>;

/** What the responses of all tasks have. */
interface Answer {
  model: string;
  version: number;
  warnings?: string[];
}

interface Scored {
  class_id: string;
  label: string;
  score: number;
}

type Classified = Answer & { predictions: Scored[] };
type Detected = Answer & Pick<Detections, "size"> & { detections: (Scored & { box: Box })[] };
type Segmented = Answer &
  Pick<Segmentation, "size"> & { areas: (Omit<ClassArea, "classId"> & { class_id: string })[] };

const NPY = "application/x-npy";

/** Posts images and numbers to an image gateway. */
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
  classifyByJson(target: Target, model: string, base64: string): Observable<Classification> {
    return this.classify(target, model, { image: base64 });
  }

  /** Returns the best classes, five by default. */
  classify(target: Target, model: string, input: Input): Observable<Classification> {
    return this.#predict<Classified>(target, model, input).pipe(map(fromAnswer));
  }

  /** Returns the objects that a detector finds. */
  detect(target: Target, model: string, input: Input): Observable<Detections> {
    return this.#predict<Detected>(target, model, input).pipe(map(fromDetected));
  }

  /** Returns the areas of the classes, of a model of the task `segmentation`. */
  segment(target: Target, model: string, input: Input): Observable<Segmentation> {
    return this.#predict<Segmented>(target, model, input).pipe(map(fromSegmented));
  }

  /** Returns the class of each pixel as PNG: the value of a pixel is the number of its class. */
  labelMap(target: Target, model: string, input: Input): Observable<Blob> {
    return this.#file(target, model, input, "image/png");
  }

  /** Returns the vector of a model of the task `embedding`, by default of the length 1. */
  embed(target: Target, model: string, input: Input, normalize = true): Observable<Embedding> {
    return this.#predict<Answer & Omit<Embedding, "warnings">>(target, model, input, { normalize }).pipe(
      map(({ embedding, dimensions, normalized, warnings = [] }) => ({
        embedding,
        dimensions,
        normalized,
        warnings,
      })),
    );
  }

  /** Returns the outputs of a model of the task `tensor`. */
  run(target: Target, model: string, input: Input): Observable<Outputs> {
    return this.#predict<Answer & Pick<Outputs, "outputs">>(target, model, input).pipe(
      map(({ outputs, warnings = [] }) => ({ outputs, warnings })),
    );
  }

  /** Returns an output, a vector or a label map as a `.npy` file of numpy. */
  npy(target: Target, model: string, input: Input, output = ""): Observable<Blob> {
    return this.#file(target, model, input, NPY, output ? { output } : {});
  }

  /** Returns what a model computes, such as `classification`; undefined until a version is ready. */
  task({ url, apiKey }: Target, model: string): Observable<string | undefined> {
    const route = `${url}/models/${encodeURIComponent(model)}`;
    return this.#http
      .get<{ task?: string }>(route, { headers: headers(apiKey) })
      .pipe(map(({ task }) => task));
  }

  #predict<T>(target: Target, model: string, input: Input, parameters: Parameters = {}): Observable<T> {
    const { route, body, options } = request(target, model, input, parameters);
    return this.#http.post<T>(route, body, options);
  }

  #file(
    target: Target,
    model: string,
    input: Input,
    accept: string,
    parameters: Parameters = {},
  ): Observable<Blob> {
    const { route, body, options } = request(target, model, input, parameters);
    const withAccept = { ...options, headers: { ...options.headers, Accept: accept } };
    return this.#http
      .post(route, body, { ...withAccept, responseType: "blob" })
      .pipe(catchError(withReadProblem));
  }
}

/** Passes on an error of a request for a file, whose problem document Angular has not parsed. */
function withReadProblem(error: unknown): Observable<never> {
  if (!(error instanceof HttpErrorResponse && error.error instanceof Blob)) {
    return throwError(() => error);
  }
  return from(error.error.text()).pipe(
    switchMap((text) => {
      const parsed = { ...error, url: error.url ?? undefined, error: parsedOrNull(text) };
      return throwError(() => new HttpErrorResponse(parsed));
    }),
  );
}

function parsedOrNull(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
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

/** A file is a body of its own, whose parameters are in the query; the gateway knows it by its first bytes. */
function request({ url, apiKey }: Target, model: string, input: Input, parameters: Parameters) {
  const route = `${url}/models/${encodeURIComponent(model)}/predict`;
  const own = headers(apiKey);
  if (!(input instanceof Blob)) {
    return { route, body: { ...input, ...parameters }, options: { headers: own } };
  }
  const type = { "Content-Type": input.type || "application/octet-stream" };
  return { route, body: input, options: { headers: { ...own, ...type }, params: parameters } };
}

/** Reads the compatible route's response; its warnings are in a header. */
function fromTriples({ body, headers }: HttpResponse<Triple[]>): Classification {
  const predictions = body!.map(([classId, label, score]) => ({ classId, label, score }));
  const warning = headers.get("X-Model-Warning");
  return { predictions, warnings: warning ? [warning] : [] };
}

function fromAnswer({ predictions, warnings = [] }: Classified): Classification {
  return { predictions: predictions.map(named), warnings };
}

function fromDetected({ detections, size, warnings = [] }: Detected): Detections {
  return { detections: detections.map(named), size, warnings };
}

function fromSegmented({ areas, size, warnings = [] }: Segmented): Segmentation {
  return { areas: areas.map(named), size, warnings };
}

function named<T extends { class_id: string }>({ class_id, ...rest }: T) {
  return { classId: class_id, ...rest };
}
