/** Turn the numbers of a heat map into pixels; touches no page element. */

/** The scale of the gateway's own heat maps: each colour is lighter than the one before. */
const COLOR_STOPS = [
  [0, [44, 24, 110]],
  [0.3, [146, 28, 128]],
  [0.6, [232, 68, 78]],
  [0.85, [255, 152, 46]],
  [1, [255, 226, 110]],
];

/** If no cell lowers the score by at least this, there is no heat to draw. */
export const MIN_HEAT = 0.001;

/** Opacity of the maximum heat, of the veil over the rest, and over parts that the model does not see. */
const [HEAT, VEIL, UNSEEN] = [0.85, 0.45, 0.7];

/** Return the largest decrease of the score. */
export function maximumOf({ grid }) {
  return Math.max(...grid.flat());
}

/** Return RGBA bytes, row by row, of a heat map over the whole image. */
export function heatPixels({ grid, box, size }, width, height) {
  const pixels = new Uint8ClampedArray(4 * width * height);
  const most = Math.max(maximumOf({ grid }), MIN_HEAT);
  for (let y = 0; y < height; y += 1) {
    const down = within((y + 0.5) / height, box[1] / size[1], box[3] / size[1]);
    for (let x = 0; x < width; x += 1) {
      const across = within((x + 0.5) / width, box[0] / size[0], box[2] / size[0]);
      const share = down === null || across === null ? null : between(grid, across, down) / most;
      pixels.set(pixel(share), 4 * (y * width + x));
    }
  }
  return pixels;
}

/** Return where a position is between two others, from 0 to 1, or null outside. */
function within(position, from, to) {
  const share = (position - from) / (to - from);
  return share >= 0 && share <= 1 ? share : null;
}

/** Interpolate between the centres of the four nearest cells. */
function between(grid, across, down) {
  const [row, nextRow, dy] = neighbours(down, grid.length);
  const [column, nextColumn, dx] = neighbours(across, grid[0].length);
  const mixed = (cells) => cells[column] * (1 - dx) + cells[nextColumn] * dx;
  return mixed(grid[row]) * (1 - dy) + mixed(grid[nextRow]) * dy;
}

function neighbours(share, count) {
  const position = Math.min(Math.max(share * count - 0.5, 0), count - 1);
  const first = Math.floor(position);
  const part = position - first;
  return [first, Math.min(first + 1, count - 1), part * part * (3 - 2 * part)];
}

/** Lay a colour over the dark veil. */
function pixel(share) {
  if (share === null) return [0, 0, 0, 255 * UNSEEN];
  const heat = Math.min(Math.max(share, 0), 1);
  const alpha = HEAT * heat;
  const opacity = alpha + VEIL * (1 - alpha);
  return [...colorOf(heat).map((band) => (band * alpha) / opacity), 255 * opacity];
}

function colorOf(share) {
  const upper = Math.max(1, COLOR_STOPS.findIndex(([position]) => position >= share));
  const [[from, low], [to, high]] = [COLOR_STOPS[upper - 1], COLOR_STOPS[upper]];
  return low.map((band, index) => band + ((high[index] - band) * (share - from)) / (to - from));
}
