/**
 * Keep small copies of this browser's images with their best label, in IndexedDB.
 *
 * The number of entries and their bytes are limited; the oldest ones go. Where the browser refuses
 * storage, the entries are kept in memory until the page is closed.
 */

const LIMITS = { count: 24, bytes: 4_000_000 };

/** Longer side of a copy in pixels, and the size up to which a file is its own copy. */
const [SIDE, SMALL_BYTES, JPEG_QUALITY] = [512, 48_000, 0.85];

const [NAME, TABLE] = ["image-gateway-pictures", "pictures"];

export class PictureStore {
  #entries = [];
  #database;

  constructor() {
    this.#database = open().catch(() => null);
  }

  /** Return whether entries outlive the page. */
  async isLasting() {
    return (await this.#database) !== null;
  }

  /** Read the entries of earlier visits, newest first. */
  async load() {
    this.#entries = (await this.#run("readonly", (table) => table.getAll())) ?? [];
    return this.entries();
  }

  /** Return the entries, newest first: `id`, `name`, `line` (the best label) and `picture` (a file). */
  entries() {
    return this.#entries.toReversed();
  }

  /** Keep a copy of the image; return its id, or null for images that the browser cannot read. */
  async add(file, line) {
    const picture = await smallCopy(file);
    if (!picture) return null;
    const id = Math.max(0, ...this.#entries.map((entry) => entry.id)) + 1;
    await this.#put({ id, name: file.name, line, picture });
    await this.#forget(surplus(this.#entries, LIMITS));
    return id;
  }

  /** Change the best label of an entry. */
  async rename(id, line) {
    const entry = this.#entries.find((one) => one.id === id);
    if (entry) await this.#put({ ...entry, line });
  }

  /** Forget all entries. */
  async clear() {
    this.#entries = [];
    await this.#run("readwrite", (table) => table.clear());
  }

  async #put(entry) {
    this.#entries = [...this.#entries.filter(({ id }) => id !== entry.id), entry].sort((a, b) => a.id - b.id);
    await this.#run("readwrite", (table) => table.put(entry));
  }

  async #forget(ids) {
    this.#entries = this.#entries.filter(({ id }) => !ids.includes(id));
    for (const id of ids) await this.#run("readwrite", (table) => table.delete(id));
  }

  /** Return the result of one operation on the table, or undefined where storage is refused or full. */
  async #run(mode, operation) {
    const database = await this.#database;
    try {
      return database && (await settled(operation(database.transaction(TABLE, mode).objectStore(TABLE))));
    } catch {
      return undefined;
    }
  }
}

/** Return the ids of the oldest entries above the limits; the newest entry always stays. */
export function surplus(entries, { count, bytes }) {
  const newestFirst = entries.toReversed();
  let sum = 0;
  return newestFirst
    .filter(({ picture }, index) => {
      sum += picture.size;
      return index > 0 && (index >= count || sum > bytes);
    })
    .map(({ id }) => id);
}

async function open() {
  const request = indexedDB.open(NAME, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(TABLE, { keyPath: "id" });
  return settled(request);
}

function settled(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** Return the image with at most `SIDE` pixels per side, or null if the browser cannot decode it. */
async function smallCopy(file) {
  if (file.size <= SMALL_BYTES) return file;
  const bitmap = await createImageBitmap(file).catch(() => null);
  if (!bitmap) return null;
  const scale = Math.min(1, SIDE / Math.max(bitmap.width, bitmap.height));
  const [width, height] = [bitmap.width, bitmap.height].map((length) => Math.max(1, Math.round(length * scale)));
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d").drawImage(bitmap, 0, 0, width, height);
  bitmap.close();
  const blob = await canvas.convertToBlob({ type: "image/jpeg", quality: JPEG_QUALITY });
  return new File([blob], file.name, { type: blob.type });
}
