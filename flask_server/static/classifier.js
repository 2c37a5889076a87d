/**
 * Client of the image gateway for web pages of any origin.
 *
 * Knows files and the gateway's routes, but no page elements. A caller can rely on two promises: every
 * failure is a ClassifierError, and an aborted call rejects with the reason of its AbortSignal. The
 * types are documented in classifier.d.ts.
 */

import {
  checkedAnswer,
  checkedDetections,
  checkedEmbedding,
  checkedHeat,
  checkedModel,
  checkedModels,
  checkedNpy,
  checkedOutputs,
  checkedPng,
  checkedSegmentation,
} from "./checks.js";
import { ClassifierError, send } from "./http.js";
import { shrink } from "./shrink.js";

export { ClassifierError } from "./http.js";

/** @import * as Types from "./classifier.d.ts" */
/** @typedef {{url: URL, headers: Record<string, string>, body: Blob | string}} PreparedRequest */

// Bundlers would look for a file in `new URL("../", import.meta.url)`; some leave import.meta empty.
const HERE = import.meta.url;

/** The gateway that serves this file; empty where the file is no part of a web page. */
const HOME = HERE?.startsWith("http") ? new URL("../", HERE).href : "";

/** Files up to this size are uploaded as they are. */
const SMALL_BYTES = 256 * 1024;

const RETRIES = 2;

/** Characters that an HTTP header can carry. */
const SENDABLE = /^[\x20-\x7e]*$/;

/** @type {Map<string, Classifier>} one per address and key, so that each loads its models once */
const classifiers = new Map();

/**
 * @param {Types.Input} input
 * @param {Types.ClassifyOptions & Types.GatewayOptions} [options]
 * @returns {Promise<Types.Answer>}
 */
export async function classify(input, { url = HOME, apiKey = "", ...options } = {}) {
  const known = `${apiKey} ${url}`;
  const classifier = classifiers.get(known) ?? new Classifier(url, { apiKey });
  classifiers.set(known, classifier);
  return classifier.classify(input, options);
}

/** Client of one gateway, with a cache of its models. */
export class Classifier {
  #root;
  /** @type {Map<string, Types.Model>} */
  #models = new Map();

  /**
   * @param {string} [url]
   * @param {{apiKey?: string, retries?: number}} [options]
   */
  constructor(url = HOME, { apiKey = "", retries = RETRIES } = {}) {
    this.#root = rootOf(url);
    this.apiKey = apiKey;
    this.retries = retries;
  }

  /**
   * @param {Types.Input} input
   * @param {Types.ClassifyOptions} [options]
   * @returns {Promise<Types.Answer>}
   */
  async classify(input, { topK, threshold, ...options } = {}) {
    const { body, facts } = await this.#predict(input, options, { top_k: topK, threshold }, checkedAnswer);
    const found = body.detections && { detections: body.detections.map(detection), size: body.size };
    return { ...facts, predictions: body.predictions.map(prediction), ...found };
  }

  /**
   * @param {Types.Input} input
   * @param {Types.ClassifyOptions} [options]
   * @returns {Promise<Types.Detections>}
   */
  async detect(input, { topK, threshold, ...options } = {}) {
    const parameters = { top_k: topK, threshold };
    const { body, facts } = await this.#predict(input, options, parameters, checkedDetections);
    return { ...facts, detections: body.detections.map(detection), size: body.size };
  }

  /**
   * @param {Types.Input} input
   * @param {Types.AskOptions} [options]
   * @returns {Promise<Types.Segmentation>}
   */
  async segment(input, options = {}) {
    const { body, facts } = await this.#predict(input, options, {}, checkedSegmentation);
    return { ...facts, areas: body.areas.map(area), size: body.size };
  }

  /**
   * @param {Types.Picture} picture
   * @param {Types.AskOptions} [options]
   * @returns {Promise<Blob>}
   */
  labelMap(picture, options = {}) {
    return this.#file("predict", picture, options, {}, "image/png", checkedPng);
  }

  /**
   * @param {Types.Input} input
   * @param {Types.EmbedOptions} [options]
   * @returns {Promise<Types.Embedding>}
   */
  async embed(input, { output, normalize, ...options } = {}) {
    const parameters = { output, normalize: text(normalize) };
    const { body, facts } = await this.#predict(input, options, parameters, checkedEmbedding);
    const { embedding, dimensions, normalized } = body;
    return { ...facts, embedding, dimensions, normalized };
  }

  /**
   * @param {Types.Input} input
   * @param {Types.OutputOptions} [options]
   * @returns {Promise<Types.Outputs>}
   */
  async run(input, { output, ...options } = {}) {
    const { body, facts } = await this.#predict(input, options, { output }, checkedOutputs);
    return { ...facts, outputs: body.outputs };
  }

  /**
   * @param {Types.Input} input
   * @param {Types.EmbedOptions} [options]
   * @returns {Promise<Blob>}
   */
  npy(input, { output, normalize, ...options } = {}) {
    const parameters = { output, normalize: text(normalize) };
    return this.#file("predict", input, options, parameters, "application/x-npy", checkedNpy);
  }

  /**
   * @param {Types.Picture} picture
   * @param {Types.ExplainOptions} [options]
   * @returns {Promise<Blob>}
   */
  explain(picture, { classId, ...options } = {}) {
    return this.#file("explain", picture, options, { class: classId }, "image/png", checkedPng);
  }

  /**
   * @param {Types.Picture} picture
   * @param {Types.ExplainOptions} [options]
   * @returns {Promise<Types.Heat>}
   */
  async heat(picture, { classId, ...options } = {}) {
    const parameters = { class: classId, format: "json", report: "true" };
    const request = await this.#prepare("explain", picture, options, parameters);
    return (await this.#post(request, options.signal, checkedHeat)).body;
  }

  /**
   * @param {{signal?: AbortSignal}} [options]
   * @returns {Promise<Types.Model[]>}
   */
  async models({ signal } = {}) {
    const models = await this.#get(new URL("models", this.#root), signal, checkedModels);
    this.#models = new Map(models.map((model) => [model.name, model]));
    return models;
  }

  /**
   * @param {string} name
   * @param {{signal?: AbortSignal}} [options]
   * @returns {Promise<Types.DescribedModel>}
   */
  model(name, { signal } = {}) {
    const url = new URL(`models/${encodeURIComponent(name)}`, this.#root);
    return this.#get(url, signal, checkedModel);
  }

  /**
   * @param {string} model
   * @param {{version?: number, topK?: number}} [options]
   */
  predictUrl(model, { version, topK } = {}) {
    return this.#url("predict", model, { version, top_k: topK }).href;
  }

  /**
   * Return the body of a response, and what responses of every task have.
   *
   * @template {import("./checks.js").Body} T
   * @param {Types.Input} input
   * @param {Types.AskOptions} options
   * @param {Record<string, string | number | undefined>} parameters
   * @param {(reply: Response) => Promise<T>} read
   * @returns {Promise<{body: T, facts: Types.Facts}>}
   */
  async #predict(input, options, parameters, read) {
    const request = await this.#prepare("predict", input, options, parameters);
    const start = performance.now();
    const { reply, body } = await this.#post(request, options.signal, read);
    this.#invalidate(body, options.version);
    const facts = {
      model: body.model,
      version: body.version,
      warnings: body.warnings ?? [],
      requestId: reply.headers.get("X-Request-ID"),
      serverMs: serverTiming(reply.headers.get("Server-Timing")),
      elapsedMs: performance.now() - start,
      sentBytes: size(request.body),
    };
    return { body, facts };
  }

  /**
   * Return the response as a file of this media type.
   *
   * @param {string} action
   * @param {Types.Input} input
   * @param {Types.AskOptions} options
   * @param {Record<string, string | number | undefined>} parameters
   * @param {string} type
   * @param {(reply: Response) => Promise<Blob>} read
   */
  async #file(action, input, options, parameters, type, read) {
    const request = await this.#prepare(action, input, options, parameters);
    request.headers.Accept = type;
    return (await this.#post(request, options.signal, read)).body;
  }

  /**
   * @param {string} action
   * @param {Types.Input} input
   * @param {Types.AskOptions} options
   * @param {Record<string, string | number | undefined>} parameters
   * @returns {Promise<PreparedRequest>}
   */
  async #prepare(action, input, options, parameters) {
    const model = options.model ?? (await this.#defaultModel(options.signal));
    const url = this.#url(action, model, { version: options.version, ...parameters });
    const file = input instanceof Blob ? input : fileOf(input);
    const upload = file && (await this.#shrunk(file, model, options));
    options.signal?.throwIfAborted();
    return { url, ...(upload && upload !== file ? raw(upload) : original(input)) };
  }

  /**
   * @param {Blob} file
   * @param {string} name
   * @param {Types.AskOptions} options
   */
  async #shrunk(file, name, { version, signal, shrink: wanted = true }) {
    if (!wanted || file.size <= SMALL_BYTES) return file;
    const model = this.#models.get(name) ?? (await this.#load(name, signal));
    // The gateway states the input size of the newest version only; an older one may need more pixels.
    const sizeIsKnown = version === undefined || version === model.version;
    return sizeIsKnown && model.input ? shrink(file, model.input) : file;
  }

  /** @param {AbortSignal | undefined} signal */
  async #defaultModel(signal) {
    // The cache may hold single models that were requested by name, without the default one.
    const cached = [...this.#models.values()].find((model) => model.default);
    return (cached ?? (await this.models({ signal }))[0]).name;
  }

  /**
   * @param {string} name
   * @param {AbortSignal | undefined} signal
   */
  async #load(name, signal) {
    const model = await this.model(name, { signal });
    if (model.ready) this.#models.set(name, model);
    return model;
  }

  /**
   * Drop a model from the cache when its newest version has changed.
   *
   * A version that was pinned, or that a split chose by its label, does not tell which one is the newest.
   *
   * @param {{model: string, version: number, version_label?: string}} answer
   * @param {number | undefined} pinned
   */
  #invalidate({ model, version, version_label: label }, pinned) {
    const isNewest = pinned === undefined && label === undefined;
    if (isNewest && this.#models.get(model)?.version !== version) {
      this.#models.delete(model);
    }
  }

  /**
   * @param {string} action
   * @param {string} model
   * @param {Record<string, string | number | undefined>} parameters
   */
  #url(action, model, parameters) {
    const url = new URL(`models/${encodeURIComponent(model)}/${action}`, this.#root);
    for (const [name, value] of Object.entries(parameters)) {
      if (value !== undefined) url.searchParams.set(name, String(value));
    }
    return url;
  }

  /**
   * @template T
   * @param {URL} url
   * @param {AbortSignal | undefined} signal
   * @param {(reply: Response) => Promise<T>} read
   */
  async #get(url, signal, read) {
    const request = { headers: this.#headers(), signal };
    return (await send(url, request, read, this.retries)).body;
  }

  /**
   * @template T
   * @param {PreparedRequest} request
   * @param {AbortSignal | undefined} signal
   * @param {(reply: Response) => Promise<T>} read
   */
  async #post({ url, headers, body }, signal, read) {
    const request = { method: "POST", headers: { ...headers, ...this.#headers() }, body, signal };
    try {
      return await send(url, request, read, this.retries);
    } catch (error) {
      // Otherwise a model that no longer exists would stay the default one.
      if (error instanceof ClassifierError && error.isAboutModels) this.#models.clear();
      throw error;
    }
  }

  /** @returns {Record<string, string>} */
  #headers() {
    if (!this.apiKey) return {};
    if (SENDABLE.test(this.apiKey)) return { "X-API-Key": this.apiKey };
    const detail = "The API key contains characters that no key has; keys are plain ASCII text.";
    throw new ClassifierError({ code: "invalid_api_key", status: 0, detail });
  }
}

/**
 * @param {string} url
 * @returns {URL}
 */
function rootOf(url) {
  if (!url) throw invalidUrl("The address of the gateway is missing.");
  try {
    return new URL(url.endsWith("/") ? url : `${url}/`, globalThis.location?.href);
  } catch (cause) {
    throw invalidUrl(`"${url}" is no address of a gateway.`, cause);
  }
}

/**
 * @param {string} detail
 * @param {unknown} [cause]
 */
function invalidUrl(detail, cause) {
  return new ClassifierError({ code: "invalid_url", status: 0, detail, cause });
}

/** @param {Types.Input} input */
function original(input) {
  if (input instanceof Blob) return raw(input);
  const headers = { "Content-Type": "application/json" };
  return { headers, body: JSON.stringify(Array.isArray(input) ? { tensor: input } : { image: input }) };
}

/** @param {Blob} file a picture, or a `.npy` file, which the gateway recognises by its first bytes */
function raw(file) {
  const type = file.type.startsWith("image/") ? file.type : "application/octet-stream";
  return { headers: { "Content-Type": type }, body: file };
}

/**
 * @param {string | Types.Tensor} text base64, or a data URL
 * @returns {Blob | null} null for numbers, and where it is not base64: the gateway then reports the error
 */
function fileOf(text) {
  if (typeof text !== "string") return null;
  const [, type = "", base64] = /^data:([^;,]*)[^,]*,(.*)$/s.exec(text) ?? [text, "", text];
  try {
    return new Blob([Uint8Array.from(atob(base64), (byte) => byte.charCodeAt(0))], { type });
  } catch {
    return null;
  }
}

/** @param {{class_id: string, label: string, score: number}} prediction */
function prediction({ class_id: classId, label, score }) {
  return { classId, label, score };
}

/** @param {import("./checks.js").FoundObject} found */
function detection({ box, ...found }) {
  return { ...prediction(found), box };
}

/** @param {{class_id: string, label: string, pixels: number, share: number}} found */
function area({ class_id: classId, label, pixels, share }) {
  return { classId, label, pixels, share };
}

/** @param {boolean | undefined} flag */
function text(flag) {
  return flag === undefined ? undefined : String(flag);
}

/**
 * @param {string | null} header such as `decode;dur=1.2, total;dur=3`
 * @returns {Record<string, number>}
 */
function serverTiming(header) {
  const stages = (header ?? "").matchAll(/([\w-]+);dur=([\d.]+)/g);
  return Object.fromEntries([...stages].map(([, name, spent]) => [name, Number(spent)]));
}

/** @param {Blob | string} body */
function size(body) {
  return body instanceof Blob ? body.size : body.length;
}
