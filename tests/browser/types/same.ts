/** Compiles only if classifier.js has the types that classifier.d.ts declares. */
import type * as Promised from "./classifier.js";
import * as written from "./written.js";

export const kept: typeof Promised = written;
