// Items as cards, and moving among them by keys.

import { contentOf, textOf } from "./api.js";
import { pattern, strip } from "./codes.js";
import { counted, make } from "./elements.js";

const SMALL = 64; // pixels: pictures below are enlarged with their pixels in sight
const texts = new Map();

/** Name an item for people. */
export const nameOf = (item) => item.caption || item.key;

/** Draw a picture of an item: its image, or else the pattern of its code. */
export function picture(about, item) {
  const frame = make("span", { class: "picture" });
  if (about.kind !== "images") {
    frame.append(pattern(item.code, about.n_bits));
    return frame;
  }
  const image = make("img", { alt: "", loading: "lazy", decoding: "async" });
  image.addEventListener("load", () => {
    image.classList.toggle("pixels", Math.max(image.naturalWidth, image.naturalHeight) <= SMALL);
    image.classList.add("here");
  });
  image.addEventListener("error", () => image.replaceWith(pattern(item.code, about.n_bits)));
  image.src = contentOf(about.name, item.key);
  frame.append(image);
  return frame;
}

/** Write what an item says: its text, or its name. */
export function words(about, item) {
  if (about.kind !== "texts") return make("span", { class: "name" }, nameOf(item));
  const element = make("span", { class: "name text" }, nameOf(item));
  const address = contentOf(about.name, item.key);
  if (!texts.has(address)) texts.set(address, textOf(about.name, item.key).catch(() => ""));
  texts.get(address).then((text) => {
    if (text) element.textContent = text;
    else texts.delete(address);
  });
  return element;
}

/** Make the card of an item. `hit` says how far it is; `marks` what else is to be seen of it. */
export function card(about, item, address, { hit = null, marks = [] } = {}) {
  const link = make(
    "a",
    { href: address, "data-key": item.key },
    about.kind === "texts" ? null : picture(about, item),
    words(about, item),
  );
  const labels = item.label === null ? null : make("span", { class: "label" }, item.label);
  const below = make("div", { class: "below" }, labels, ...marks.map(mark));
  if (hit) below.append(make("span", { class: "distance" }, distance(hit)));
  const element = make("li", { class: `card ${about.kind}` }, link, below);
  if (hit) element.append(strip(item.code, about.n_bits, hit.differing_bits));
  return element;
}

function mark([sign, meaning]) {
  return make("span", { class: "mark", title: meaning }, sign, make("span", { class: "hidden" }, ` ${meaning}`));
}

function distance(hit) {
  const bits = counted(hit.distance, "bit");
  if (hit.weighted_distance === null || hit.weighted_distance === undefined) return bits;
  return `${bits} · ${hit.weighted_distance.toPrecision(3)}`;
}

/** Make cards of what a search found. */
export function cards(about, hits, addressOfItem, marksOf = () => []) {
  return make(
    "ol",
    { class: `cards ${about.kind}` },
    hits.map((hit) => card(about, hit.item, addressOfItem(hit.item), { hit, marks: marksOf(hit.item) })),
  );
}

/** Show a code: its bits and its digits. */
export function codeOf(about, code) {
  return make("p", { class: "code" }, strip(code, about.n_bits), make("code", {}, code));
}

/** Show what is known of the query: its picture, its words and its code. */
export function querySummary(about, { image, title, item, code, onclear }) {
  const shown = make("div", { class: "picture" });
  if (image) shown.append(make("img", { src: image, alt: "", class: "here" }));
  else if (item) shown.append(...picture(about, item).children);
  else if (code && about.kind !== "texts") shown.append(pattern(code, about.n_bits));
  const facts = item ? factsOf(item) : [];
  return [
    about.kind === "texts" ? "" : shown,
    make(
      "div",
      { class: "told" },
      make("p", { class: "title" }, make("span", { class: "by" }, "Query"), " ", title),
      code ? codeOf(about, code) : "",
      facts.length ? make("dl", {}, facts) : "",
    ),
    make("button", { type: "button", class: "quiet", onclick: onclear, "aria-label": "Clear the query" }, "✕"),
  ];
}

function factsOf(item) {
  const facts = { Key: item.key, Label: item.label, Source: item.source, ...item.metadata };
  if (!item.caption) delete facts.Key; // it is the title then
  return Object.entries(facts)
    .filter(([, value]) => value !== null && value !== undefined && value !== "")
    .map(([name, value]) =>
      make("div", {}, make("dt", {}, name), make("dd", {}, written(value))),
    );
}

function written(value) {
  if (Array.isArray(value)) return value.map(written).join(", ");
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** Move among the cards of a list by arrow keys, as they stand in rows on the page. */
export function moveByKeys(event) {
  const step = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key];
  const from = event.target.closest?.(".card > a");
  if (!step || !from || event.altKey || event.ctrlKey || event.metaKey) return;
  const all = [...document.querySelectorAll(".card > a")];
  const list = from.closest(".cards");
  const middle = (element) => {
    const box = element.getBoundingClientRect();
    return [box.left + box.width / 2, box.top + box.height / 2];
  };
  const [x, y] = middle(from);
  let nearest = null;
  if (step[1] === 0) {
    const inList = all.filter((link) => link.closest(".cards") === list);
    nearest = inList[inList.indexOf(from) + step[0]] ?? null;
  } else {
    let least = Infinity;
    for (const link of all) {
      const [u, v] = middle(link);
      const ahead = (v - y) * step[1];
      const far = ahead + 3 * Math.abs(u - x);
      if (ahead > 4 && far < least) [least, nearest] = [far, link];
    }
  }
  if (!nearest) return;
  event.preventDefault();
  nearest.focus();
  nearest.scrollIntoView({ block: "nearest" });
}

