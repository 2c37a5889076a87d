/**
 * Read the gateway's responses; anything else is an InvalidAnswer.
 *
 * A server in between, a wrong address or another version of the gateway may answer with something else.
 */

import { InvalidAnswer } from "./http.js";

/** @import * as Types from "./classifier.d.ts" */

/**
 * The body of a `predict` response.
 *
 * @typedef {{model: string, version: number, version_label?: string, warnings?: string[]}} Body
 */
/** @typedef {{class_id: string, label: string, score: number}} Scored */
/** @typedef {Scored & {box: Types.Box}} FoundObject */
/** @typedef {{class_id: string, label: string, pixels: number, share: number}} ClassArea */
/** @typedef {[number, number]} Size width and height of the image that was sent */
/** @typedef {Body & {predictions: Scored[], detections?: FoundObject[], size?: Size}} PredictAnswer */
/** @typedef {Body & {detections: FoundObject[], size: Size}} DetectionAnswer */
/** @typedef {Body & {areas: ClassArea[], size: Size}} SegmentationAnswer */
/** @typedef {Body & {embedding: number[], dimensions: number, normalized: boolean}} EmbeddingAnswer */
/** @typedef {Body & {outputs: Record<string, unknown>}} OutputsAnswer */

const SIDES = ["xmin", "ymin", "xmax", "ymax"];

/** The first bytes of files. */
const PNG = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const NPY = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];

/**
 * Of a detector, the predictions are the best score of each label.
 *
 * @param {Response} reply
 * @returns {Promise<PredictAnswer>}
 */
export async function checkedAnswer(reply) {
  const body = await checkedBody(reply);
  if (Array.isArray(body.detections)) {
    checkDetections(body);
    return { ...body, predictions: bestOfEachLabel(body.detections) };
  }
  if (!Array.isArray(body.predictions)) throw new InvalidAnswer("it has no predictions");
  body.predictions.forEach(checkPrediction);
  return body;
}

/**
 * @param {Response} reply
 * @returns {Promise<DetectionAnswer>}
 */
export async function checkedDetections(reply) {
  const body = await checkedBody(reply);
  if (!Array.isArray(body.detections)) throw new InvalidAnswer("it has no detections");
  checkDetections(body);
  return body;
}

/**
 * @param {Response} reply
 * @returns {Promise<SegmentationAnswer>}
 */
export async function checkedSegmentation(reply) {
  const body = await checkedBody(reply);
  if (!Array.isArray(body.areas) || !body.areas.every(isArea)) throw new InvalidAnswer("it has no areas");
  if (!isListOfNumbers(body.size, 2)) throw new InvalidAnswer("it has no size");
  return body;
}

/**
 * @param {Response} reply
 * @returns {Promise<EmbeddingAnswer>}
 */
export async function checkedEmbedding(reply) {
  const body = await checkedBody(reply);
  if (!isListOfNumbers(body.embedding, body.dimensions)) throw new InvalidAnswer("it has no embedding");
  return body;
}

/**
 * @param {Response} reply
 * @returns {Promise<OutputsAnswer>}
 */
export async function checkedOutputs(reply) {
  const body = await checkedBody(reply);
  if (typeof body.outputs !== "object" || body.outputs === null) throw new InvalidAnswer("it has no outputs");
  return body;
}

/**
 * @param {Response} reply
 * @returns {Promise<any>} the body with model, version and warnings
 */
async function checkedBody(reply) {
  const body = await reply.json();
  if (Array.isArray(body?.results)) throw new InvalidAnswer("it has several results, which only npy() reads");
  if (typeof body?.model !== "string") throw new InvalidAnswer("it names no model");
  if (!Number.isInteger(body.version)) throw new InvalidAnswer("it names no version");
  if (!isListOfTexts(body.warnings ?? [])) throw new InvalidAnswer("its warnings are no texts");
  return body;
}

/** @param {any} body */
function checkDetections(body) {
  body.detections.forEach(checkPrediction);
  for (const { box } of body.detections) {
    if (!SIDES.every((side) => Number.isFinite(box?.[side]))) throw new InvalidAnswer("an object has no box");
  }
  if (!isListOfNumbers(body.size, 2)) throw new InvalidAnswer("it has no size");
}

/** @param {FoundObject[]} detections best first */
function bestOfEachLabel(detections) {
  const classes = new Set();
  return detections.filter(({ class_id: id }) => !classes.has(id) && classes.add(id));
}

/** @param {any} area */
function isArea(area) {
  const isNamed = typeof area?.class_id === "string" && typeof area.label === "string";
  return isNamed && Number.isFinite(area.pixels) && Number.isFinite(area.share);
}

/**
 * @param {any} prediction
 * @param {number} index
 */
function checkPrediction(prediction, index) {
  for (const name of ["class_id", "label"]) {
    if (typeof prediction?.[name] !== "string") {
      throw new InvalidAnswer(`prediction ${index + 1} has no ${name}`);
    }
  }
  if (!Number.isFinite(prediction.score)) {
    throw new InvalidAnswer(`prediction ${index + 1} has no score`);
  }
}

/**
 * @param {Response} reply
 * @returns {Promise<Types.Model[]>} the first one is the default
 */
export async function checkedModels(reply) {
  const models = (await reply.json())?.models;
  if (!Array.isArray(models) || models.length === 0) throw new InvalidAnswer("it has no models");
  models.forEach(checkModel);
  return models;
}

/**
 * @param {Response} reply
 * @returns {Promise<Types.DescribedModel>}
 */
export async function checkedModel(reply) {
  const model = await reply.json();
  checkModel(model);
  return model;
}

/** @param {any} model */
function checkModel(model) {
  if (typeof model?.name !== "string") throw new InvalidAnswer("a model has no name");
  const { input } = model;
  if (input !== undefined && input !== null && !(input.width > 0 && input.height > 0)) {
    throw new InvalidAnswer(`the input of model ${model.name} has no size`);
  }
}

/**
 * @param {Response} reply
 * @returns {Promise<Blob>}
 */
export async function checkedPng(reply) {
  const blob = await reply.blob();
  if (!(await startsWith(blob, PNG))) throw new InvalidAnswer("it is no PNG file");
  return blob.type === "image/png" ? blob : new Blob([blob], { type: "image/png" });
}

/**
 * @param {Response} reply
 * @returns {Promise<Blob>}
 */
export async function checkedNpy(reply) {
  const blob = await reply.blob();
  if (!(await startsWith(blob, NPY))) throw new InvalidAnswer("it is no .npy file");
  return blob;
}

/**
 * @param {Blob} blob
 * @param {number[]} bytes
 */
async function startsWith(blob, bytes) {
  const start = new Uint8Array(await blob.slice(0, bytes.length).arrayBuffer());
  return bytes.every((byte, i) => start[i] === byte);
}

/**
 * @param {Response} reply
 * @returns {Promise<Types.Heat>}
 */
export async function checkedHeat(reply) {
  const { class_id: classId, label, score, grid, box, report } = (await reply.json()) ?? {};
  if (typeof classId !== "string" || typeof label !== "string") throw new InvalidAnswer("it names no class");
  if (!Number.isFinite(score)) throw new InvalidAnswer("it has no score");
  if (!isGrid(grid)) throw new InvalidAnswer("it has no grid");
  if (!isListOfNumbers(box, 4)) throw new InvalidAnswer("it has no box");
  if (!isListOfNumbers(report?.size, 2)) throw new InvalidAnswer("it has no size");
  return { classId, label, score, grid, box, size: report.size };
}

/** @param {unknown} rows */
function isGrid(rows) {
  return Array.isArray(rows) && rows.length > 0 && rows.every((row) => isListOfNumbers(row, rows[0].length));
}

/**
 * @param {unknown} list
 * @param {number} length
 */
function isListOfNumbers(list, length) {
  return Array.isArray(list) && length > 0 && list.length === length && list.every(Number.isFinite);
}

/** @param {unknown} list */
function isListOfTexts(list) {
  return Array.isArray(list) && list.every((item) => typeof item === "string");
}
