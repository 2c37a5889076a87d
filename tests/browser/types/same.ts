/** Holds the module against its declarations: what is written must be what is promised. */
import type * as Promised from "./classifier.js";
import * as written from "./written.js";

export const kept: typeof Promised = written;
