/**
 * Send one request and turn every failure into a ClassifierError.
 *
 * Knows nothing about images. An aborted request rejects with the reason of its AbortSignal.
 */

/** @import { Failure } from "./classifier.d.ts" */

/** A response with a longer `Retry-After` is not retried. */
const MAX_WAIT_S = 10;

/** Errors that may end with a newer list of models: of its names, versions, states or numbers of classes. */
const ABOUT_MODELS = new Set([
  "unknown_model",
  "unknown_version",
  "model_not_ready",
  "invalid_parameter",
]);

/** Says what a response lacks that the gateway's responses have. */
export class InvalidAnswer extends Error {}

/** Error of a call: a problem that the gateway reported, or a failure to reach the gateway. */
export class ClassifierError extends Error {
  /** @param {Failure} failure */
  constructor({ code, status, detail, requestId = null, retryAfterS = null, cause }) {
    super(detail, { cause });
    this.name = "ClassifierError";
    this.code = code;
    this.status = status;
    this.detail = detail;
    this.requestId = requestId;
    this.retryAfterS = retryAfterS;
  }

  /** Whether a newer list of models may explain the error. */
  get isAboutModels() {
    return ABOUT_MODELS.has(this.code);
  }
}

/**
 * Return the response and its body; retry a 503 after its `Retry-After`.
 *
 * @template T
 * @param {URL} url
 * @param {RequestInit & {signal?: AbortSignal}} request
 * @param {(reply: Response) => Promise<T>} read
 * @param {number} retries
 * @returns {Promise<{reply: Response, body: T}>}
 */
export async function send(url, request, read, retries) {
  for (let left = retries; ; left -= 1) {
    try {
      return await sendOnce(url, request, read);
    } catch (error) {
      request.signal?.throwIfAborted();
      if (left <= 0 || !(error instanceof ClassifierError) || !mayRetry(error)) throw error;
      await pause(error.retryAfterS ?? 0, request.signal);
    }
  }
}

/**
 * @template T
 * @param {URL} url
 * @param {RequestInit} request
 * @param {(reply: Response) => Promise<T>} read
 */
async function sendOnce(url, request, read) {
  const reply = await fetch(url, request).catch(async (cause) => {
    throw (await isReadable(request.body)) ? unreachable(url, cause) : unreadable(cause);
  });
  if (!reply.ok) throw await failureOf(reply);
  try {
    return { reply, body: await read(reply) };
  } catch (cause) {
    throw unexpected(reply, cause);
  }
}

/** @param {ClassifierError} error */
function mayRetry({ status, retryAfterS }) {
  return status === 503 && retryAfterS !== null && retryAfterS <= MAX_WAIT_S;
}

/**
 * @param {Response} reply
 * @returns {Promise<ClassifierError>} the error that its problem document describes
 */
async function failureOf(reply) {
  const problem = await reply.json().catch(() => null);
  if (typeof problem?.code !== "string") return unexpected(reply, undefined);
  return new ClassifierError({
    code: problem.code,
    status: reply.status,
    detail: String(problem.detail ?? problem.title),
    requestId: problem.request_id ?? reply.headers.get("X-Request-ID"),
    retryAfterS: secondsOf(reply.headers.get("Retry-After")),
  });
}

/**
 * @param {URL} url
 * @param {unknown} cause
 */
function unreachable(url, cause) {
  const detail = `${url.origin} cannot be reached, or does not let this page ask it.`;
  return new ClassifierError({ code: "unreachable", status: 0, detail, cause });
}

/**
 * Return whether a file can still be read; it may have changed or been deleted since it was chosen.
 *
 * @param {unknown} body
 */
async function isReadable(body) {
  if (!(body instanceof Blob)) return true;
  return body.slice(0, 1).arrayBuffer().then(
    () => true,
    () => false,
  );
}

/** @param {unknown} cause */
function unreadable(cause) {
  const detail = "The file has changed since it was chosen, or is gone; choose it again.";
  return new ClassifierError({ code: "unreadable_file", status: 0, detail, cause });
}

/**
 * @param {Response} reply
 * @param {unknown} cause
 */
function unexpected(reply, cause) {
  const lack = cause instanceof InvalidAnswer ? `: ${cause.message}` : "";
  const { origin } = new URL(reply.url);
  return new ClassifierError({
    code: "unexpected_answer",
    status: reply.status,
    detail: `${origin} answered ${reply.status} with something other than the gateway's response${lack}.`,
    requestId: reply.headers.get("X-Request-ID"),
    retryAfterS: secondsOf(reply.headers.get("Retry-After")),
    cause,
  });
}

/** @param {string | null} text a number of seconds, or a date */
function secondsOf(text) {
  if (text === null) return null;
  const seconds = /^\d+$/.test(text) ? Number(text) : (Date.parse(text) - Date.now()) / 1000;
  return Number.isNaN(seconds) ? null : Math.max(0, seconds);
}

/**
 * @param {number} seconds
 * @param {AbortSignal | undefined} signal
 * @returns {Promise<void>}
 */
function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, seconds * 1000);
    signal?.addEventListener("abort", stop, { once: true });
  });
}
