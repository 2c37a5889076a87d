/**
 * Client of the image gateway, for web pages of any origin and for Node.
 *
 *     import { classify } from "https://gateway.example/static/classifier.js";
 *     const { predictions } = await classify(file, { model: "digits", topK: 3 });
 */

/** A file, or its base64 text with or without the prefix of a data URL. */
export type Picture = Blob | string;

/** Nested lists of numbers in the shape of the model's input. */
export type Tensor = number[] | Tensor[];

/** An image, or numbers: as lists, or as a `Blob` with a `.npy` file of numpy. */
export type Input = Picture | Tensor;

export interface AskOptions {
  /** Name of the model; the gateway's first one by default. */
  model?: string;
  /** Pins a version; the newest by default. */
  version?: number;
  /** Ends the call; it rejects with the signal's reason. */
  signal?: AbortSignal;
  /** False uploads a huge photo unchanged; true, the default, uploads a copy of at least twice the model's input size. */
  shrink?: boolean;
}

export interface ClassifyOptions extends AskOptions {
  /** Number of predictions, five by default; of a detector, the most objects. */
  topK?: number;
  /** Minimum score, 0 to 1. */
  threshold?: number;
}

export interface OutputOptions extends AskOptions {
  /** The output to return, of a model that has several. */
  output?: string;
}

export interface EmbedOptions extends OutputOptions {
  /** Whether the vector is divided by its length. */
  normalize?: boolean;
}

export interface ExplainOptions extends AskOptions {
  /** The class that the heat map explains; the best one by default. */
  classId?: string;
}

export interface GatewayOptions {
  /** Root URL of the gateway; by default the gateway that serves this file. */
  url?: string;
  /** Sent as `X-API-Key`. */
  apiKey?: string;
}

export interface Prediction {
  classId: string;
  label: string;
  score: number;
}

/** Whole pixels of the upright image that was sent; xmax and ymax are just outside. */
export interface Box {
  xmin: number;
  ymin: number;
  xmax: number;
  ymax: number;
}

/** An object in the image. */
export interface Detection extends Prediction {
  box: Box;
}

/** What the responses of every task have. */
export interface Facts {
  model: string;
  version: number;
  /** Restrictions of the response, such as that the model is untrained. */
  warnings: string[];
  requestId: string | null;
  /** Milliseconds per stage (decode, preprocess, serving, postprocess) and in total. */
  serverMs: Record<string, number>;
  /** Milliseconds from the first byte sent to the last byte read. */
  elapsedMs: number;
  /** Size of the request's body. */
  sentBytes: number;
}

export interface Answer extends Facts {
  /** Best first; of a detector, the best score of each label. */
  predictions: Prediction[];
  /** Objects, best first; only a detector has them. */
  detections?: Detection[];
  /** Width and height of the image whose pixels the boxes count; a huge photo is sent as a smaller copy. */
  size?: [number, number];
}

/** The response of a detector. */
export interface Detections extends Facts {
  /** Best first. */
  detections: Detection[];
  /** Width and height of the image whose pixels the boxes count; a huge photo is sent as a smaller copy. */
  size: [number, number];
}

/** The pixels of one class. */
export interface ClassArea {
  classId: string;
  label: string;
  pixels: number;
  /** Share of the part of the image that the model sees. */
  share: number;
}

/** The response of a model that finds the class of each pixel. */
export interface Segmentation extends Facts {
  /** The largest first. */
  areas: ClassArea[];
  /** Width and height of the image whose pixels are counted; a huge photo is sent as a smaller copy. */
  size: [number, number];
}

/** The response of a model that turns an image into a vector. */
export interface Embedding extends Facts {
  embedding: number[];
  dimensions: number;
  normalized: boolean;
}

/** The response of a model of the task `tensor`. */
export interface Outputs extends Facts {
  /** Numbers, or nested lists of numbers or strings, by the name of the output; NaN and infinity are null. */
  outputs: Record<string, unknown>;
}

/** One entry of `GET /models`, as the gateway sends it. */
export interface Model {
  name: string;
  /** `classification`, `detection` or another one. */
  task?: string;
  default: boolean;
  ready: boolean;
  version: number | null;
  versions: { version: number; state: string; error: string }[];
  version_labels: Record<string, number>;
  /** This field and the following ones are absent until a version is ready. */
  trained?: boolean;
  /** Null for a model that takes tensors or image files only. */
  input?: { width: number; height: number; color: string; fit: string } | null;
  output?: { activation: string; classes: number; top_k?: number };
  source?: string;
  /** Both are null where the model server does not tell. */
  engine?: string | null;
  precision?: string | null;
  /** Largest difference of the golden images' scores from those of the exported model; null if not measured. */
  score_drift?: number | null;
  /** How a detector's boxes are chosen. */
  boxes?: { threshold: number; nms_iou: number | null };
  warnings?: string[];
  error?: { code: string; detail: string };
}

/** The response of `GET /models/<name>`. */
export interface DescribedModel extends Model {
  /** Null until a version is ready. */
  spec: {
    input: { width: number; height: number; color: string; fit: string; scale: string } | null;
    output: { activation: string; classes: number; top_k?: number };
    /** Pairs of class id and label. */
    labels: [string, string][];
    exported_at: string;
  } | null;
}

/** A heat map as numbers. */
export interface Heat {
  classId: string;
  label: string;
  score: number;
  /** Rows from top to bottom: the decrease of the score when this cell is hidden. */
  grid: number[][];
  /** Region that the grid covers, [left, top, right, bottom] in pixels of the upright image that was sent. */
  box: [number, number, number, number];
  /** Width and height of that image; a huge photo is sent as a smaller copy. */
  size: [number, number];
}

export interface Failure {
  code: string;
  status: number;
  detail: string;
  requestId?: string | null;
  retryAfterS?: number | null;
  cause?: unknown;
}

/** Error of a call: a problem that the gateway reported, or a failure to reach the gateway. */
export class ClassifierError extends Error {
  constructor(failure: Failure);
  /**
   * The gateway's own code; `unreachable`, `unreadable_file`, `unexpected_answer` or `invalid_url` where
   * there is none.
   */
  code: string;
  /** The HTTP status; 0 where no response arrived. */
  status: number;
  /** One sentence for users. */
  detail: string;
  requestId: string | null;
  /** Seconds after which the same request may succeed. */
  retryAfterS: number | null;
  /** Whether a newer list of models may explain the error, such as a model that was removed. */
  readonly isAboutModels: boolean;
}

/** Client of one gateway, with a cache of its models. */
export class Classifier {
  /** `url` is the root of the gateway; by default the gateway that serves this file. Throws a ClassifierError for none. */
  constructor(url?: string, options?: { apiKey?: string; retries?: number });
  apiKey: string;
  /** How often a request is retried after a 503 and its `Retry-After`; two by default. */
  retries: number;
  /** Returns the best classes; of a detector also its objects. */
  classify(input: Input, options?: ClassifyOptions): Promise<Answer>;
  /** Returns the objects that a detector finds. */
  detect(input: Input, options?: ClassifyOptions): Promise<Detections>;
  /** Returns the areas of the classes, of a model of the task `segmentation`. */
  segment(input: Input, options?: AskOptions): Promise<Segmentation>;
  /**
   * Returns the class of each pixel as PNG with a palette: the value of a pixel is the number of its class.
   * Of a huge photo it has the size of the smaller copy, unless `shrink` is false.
   */
  labelMap(picture: Picture, options?: AskOptions): Promise<Blob>;
  /** Returns the vector of a model of the task `embedding`. */
  embed(input: Input, options?: EmbedOptions): Promise<Embedding>;
  /** Returns the outputs of a model of the task `tensor`, for one image or one tensor. */
  run(input: Input, options?: OutputOptions): Promise<Outputs>;
  /**
   * Returns one output, the vector or the label map as a `.npy` file. A tensor with one dimension more in
   * front has several rows, and its file one dimension more as well.
   */
  npy(input: Input, options?: EmbedOptions): Promise<Blob>;
  /** Returns the image with a heat map of the areas that support the class, as PNG. */
  explain(picture: Picture, options?: ExplainOptions): Promise<Blob>;
  /** Returns the heat map of the class as numbers, to be drawn over a copy of the image. */
  heat(picture: Picture, options?: ExplainOptions): Promise<Heat>;
  /** Returns one model with its labels. */
  model(name: string, options?: { signal?: AbortSignal }): Promise<DescribedModel>;
  /** Returns all models, the default one first. */
  models(options?: { signal?: AbortSignal }): Promise<Model[]>;
  /** Returns the URL that `classify` posts to. */
  predictUrl(model: string, options?: { version?: number; topK?: number }): string;
}

/** Classifies the image or the numbers with the gateway that serves this file, or with the one named by `url`. */
export function classify(
  input: Input,
  options?: ClassifyOptions & GatewayOptions,
): Promise<Answer>;
