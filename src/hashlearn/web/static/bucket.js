// The bucket of a code: all items with exactly this code, and the buckets one or two bits away.

import { addressOf, ask } from "./api.js";
import { inWords, strip } from "./codes.js";
import { count, counted, make } from "./elements.js";
import { card, codeOf, picture, words } from "./items.js";
import { note } from "./notes.js";

const RADIUS = 2;
const MOST = 1000; // items within it that are asked for
const SAMPLES = 4; // items that a neighbouring bucket shows
const SHOWN = 60; // neighbouring buckets

/** Show the bucket of the query's code. */
export async function showBucket(column, state, signal) {
  if (!state.query) {
    const parts = [note("Which bucket?", "A bucket holds the items that have the same code. Choose an item or search first.")];
    return { status: "", parts };
  }
  const { about } = column;
  const { code } = await column.search(state, signal, { k: 1, radius: null, where: null, rerank: false });
  const where = Object.keys(state.where).length ? state.where : null;
  const found = await ask(`${addressOf(about.name)}/search`, {
    signal,
    body: { code, k: MOST, radius: RADIUS, where },
  });
  const buckets = group(found.hits);
  const own = buckets.find((bucket) => bucket.code === code);
  const near = buckets.filter((bucket) => bucket !== own);
  const n = own ? own.items.length : 0;
  const cut = found.hits.length >= MOST ? ` The nearest ${count(MOST)} items are counted.` : "";
  return {
    status: `${counted(n, "item")} with this code, ${counted(near.length, "bucket")} within ${RADIUS} bits.${cut}`,
    parts: [
      make("h3", {}, "Items with exactly this code"),
      codeOf(about, code),
      own
        ? make("ul", { class: `cards ${about.kind}` }, own.items.map((item) => card(about, item, column.linkTo(item))))
        : note("An empty bucket", "No item has exactly this code."),
      make("h3", {}, "Neighbouring buckets"),
      near.length
        ? make("ul", { class: "buckets" }, near.slice(0, SHOWN).map((bucket) => line(column, bucket)))
        : note("No neighbours", `No other code of this collection lies within ${RADIUS} bits.`),
      near.length > SHOWN ? make("p", { class: "facts" }, `and ${count(near.length - SHOWN)} more`) : "",
    ],
  };
}

function group(hits) {
  const buckets = new Map();
  for (const { item, differing_bits: bits } of hits) {
    if (!buckets.has(item.code)) buckets.set(item.code, { code: item.code, bits, items: [] });
    buckets.get(item.code).items.push(item);
  }
  return [...buckets.values()].sort((a, b) => a.bits.length - b.bits.length || b.items.length - a.items.length);
}

function line(column, { code, bits, items }) {
  const { about } = column;
  const shown = items.slice(0, about.kind === "texts" ? 1 : SAMPLES);
  return make(
    "li",
    {},
    make(
      "a",
      { href: column.page.addressWith({ query: { code } }), "data-code": code },
      make("span", { class: "n" }, counted(items.length, "item")),
      make("span", { class: "samples" }, shown.map((item) => (about.kind === "texts" ? words(about, item) : picture(about, item)))),
      make("span", { class: "differs" }, inWords(bits)),
    ),
    strip(code, about.n_bits, bits),
  );
}
