/**
 * Shrink a huge photo before it is uploaded, to at least twice the input size of the model.
 *
 * Where shrinking is impossible or gains nothing, the file itself is returned.
 */

/** Factor above the model's input size, so that the final filter is the gateway's. */
const OVERSAMPLING = 2;

/** High enough to change predictions hardly at all. */
const JPEG_QUALITY = 0.95;

const PROBE = [1, 2, 200, 255];

/**
 * Return the image upright and not below twice the input size, or the blob as it is.
 *
 * @param {Blob} blob
 * @param {{width: number, height: number}} input
 * @returns {Promise<Blob>}
 */
export async function shrink(blob, input) {
  const bitmap = await decode(blob);
  if (!bitmap) return blob;
  try {
    const scale = OVERSAMPLING * Math.max(input.width / bitmap.width, input.height / bitmap.height);
    if (scale >= 1 || !canvasIsExact()) return blob;
    const small = await redraw(bitmap, scale, blob.type === "image/jpeg" ? blob.type : "image/png");
    return small.size < blob.size ? small : blob;
  } catch {
    return blob; // for example when there is no memory for a canvas
  } finally {
    bitmap.close();
  }
}

/**
 * @param {Blob} blob
 * @returns {Promise<ImageBitmap | null>} null for what this browser cannot decode
 */
async function decode(blob) {
  if (typeof createImageBitmap === "undefined" || typeof OffscreenCanvas === "undefined") return null;
  try {
    // The gateway applies the EXIF orientation, but no colour profile.
    return await createImageBitmap(blob, {
      imageOrientation: "from-image",
      colorSpaceConversion: "none",
    });
  } catch {
    return null;
  }
}

/**
 * @param {ImageBitmap} bitmap
 * @param {number} scale
 * @param {string} type
 */
function redraw(bitmap, scale, type) {
  const canvas = new OffscreenCanvas(
    Math.ceil(bitmap.width * scale),
    Math.ceil(bitmap.height * scale),
  );
  const context = context2d(canvas);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return canvas.convertToBlob({ type, quality: JPEG_QUALITY });
}

/** Return whether a canvas returns the drawn pixels; some browsers add noise against fingerprinting. */
function canvasIsExact() {
  const context = context2d(new OffscreenCanvas(8, 8));
  context.fillStyle = `rgb(${PROBE.slice(0, 3).join(" ")})`;
  context.fillRect(0, 0, 8, 8);
  const { data } = context.getImageData(0, 0, 8, 8);
  return data.every((value, i) => Math.abs(value - PROBE[i % 4]) <= 1);
}

/** @param {OffscreenCanvas} canvas */
function context2d(canvas) {
  return /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext("2d"));
}
