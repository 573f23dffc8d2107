// Codes in hexadecimal: their bits, and drawings of them. Bit j is bit j % 8 of byte j / 8.

import { counted, draw } from "./elements.js";

/** Give the bits of a code, 0 or 1 each. */
export function bitsOf(hex, nBits) {
  const bits = new Uint8Array(nBits);
  for (let j = 0; j < nBits; j++) {
    const byte = parseInt(hex.substr(2 * (j >> 3), 2), 16);
    bits[j] = (byte >> (j & 7)) & 1;
  }
  return bits;
}

/** List the bits in which two codes differ. */
export function differing(one, other, nBits) {
  const a = bitsOf(one, nBits);
  const b = bitsOf(other, nBits);
  return [...a.keys()].filter((j) => a[j] !== b[j]);
}

/** Say in words which bits differ. */
export function inWords(bits) {
  if (bits.length === 0) return "no bit differs";
  const verb = bits.length === 1 ? "differs" : "differ";
  return `${counted(bits.length, "bit")} ${verb}: ${bits.join(", ")}`;
}

const HEIGHT = 15; // of a row; a bit is 4 wide

/** Draw a code as a row of bars: tall for 1, short for 0; those that differ are roofed. */
export function strip(hex, nBits, different = null) {
  const bits = bitsOf(hex, nBits);
  const columns = nBits <= 64 ? 32 : nBits <= 256 ? 64 : 128;
  const rows = Math.ceil(nBits / columns);
  const marked = new Set(different ?? []);
  const paths = { one: "", zero: "", other: "" };
  for (let j = 0; j < nBits; j++) {
    const x = 4 * (j % columns) + 0.6;
    const bottom = HEIGHT * Math.floor(j / columns) + HEIGHT - 1;
    const height = bits[j] ? 9 : 3;
    paths[marked.has(j) ? "other" : bits[j] ? "one" : "zero"] +=
      `M${x} ${bottom}h2.8v${-height}h-2.8z` +
      (marked.has(j) ? `M${x - 0.6} ${bottom - 10.4}h4l-2 -3.2z` : "");
  }
  const words = different ? inWords(different) : `bits ${bits.join("")}`;
  return draw(
    "svg",
    { viewBox: `0 0 ${4 * columns} ${HEIGHT * rows}`, class: "strip", role: "img", "aria-label": words },
    draw("title", {}, words),
    ...Object.entries(paths).map(([name, d]) => draw("path", { class: name, d })),
  );
}

/** Draw a code as a square of cells: the picture of an item that has none. */
export function pattern(hex, nBits) {
  const bits = bitsOf(hex, nBits);
  const side = Math.ceil(Math.sqrt(nBits));
  let path = "";
  bits.forEach((bit, j) => {
    if (bit) path += `M${j % side} ${Math.floor(j / side)}h1v1h-1z`;
  });
  return draw(
    "svg",
    { viewBox: `0 0 ${side} ${side}`, class: "pattern", "aria-hidden": "true" },
    draw("path", { d: path }),
  );
}
