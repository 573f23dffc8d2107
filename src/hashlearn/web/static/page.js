// The page of a collection: what a person does changes the state, and the state is shown.

import { addressOf, ask } from "./api.js";
import { Column } from "./column.js";
import { byId, count, make } from "./elements.js";
import { fillFilters, showFilters } from "./filters.js";
import { moveByKeys, nameOf, querySummary } from "./items.js";
import { note } from "./notes.js";
import { listen, pictureOf, take } from "./pictures.js";
import { read, write } from "./state.js";

const { shown } = JSON.parse(byId("about").textContent);
const about = shown[0];
const NO_LIMIT = Math.floor(about.n_bits / 2) + 1; // the end of the slider of distances
let state = read();
let underWay = new AbortController();
const items = new Map(); // those that were searched by

const page = {
  change,
  addressWith: (patch) => write({ ...state, view: patch.query?.code ? "bucket" : "results", ...patch }),
  isFirst: (column) => column === columns[0],
  isComparing: shown.length > 1,
  labelOf: async (asked, column) => (await queried(asked, column))?.label ?? null,
  retry: () => show(),
  waitForServer,
};
const columns = [...document.querySelectorAll(".column")].map(
  (element, i) => new Column(shown[i], element, page),
);

/** Go to another state. With `replace`, going back does not stop here. */
function change(patch, replace = false) {
  state = { ...state, ...patch };
  history[replace ? "replaceState" : "pushState"](null, "", write(state));
  show();
}

/** Show the state: the query, the controls, and each collection's answer. */
async function show() {
  underWay.abort();
  underWay = new AbortController();
  const { signal } = underWay;
  showControls();
  const asked = state;
  const summary = showQuery(asked, signal);
  const found = await Promise.all(columns.map((column) => column.show(asked, signal)));
  if (signal.aborted) return;
  rememberCode(found[0]);
  await summary;
  if (!signal.aborted) showAgreement(found, asked, await queried(asked, columns[0]).catch(() => null));
}

/** Read the item that is searched by, once; null for a text, a picture or a code. */
async function queried({ query }, { about: { name } }) {
  if (!query?.key) return null;
  const address = `${addressOf(name)}/item?key=${encodeURIComponent(query.key)}`;
  if (!items.has(address)) {
    const asked = ask(address);
    asked.catch(() => items.delete(address));
    items.set(address, asked);
  }
  return items.get(address);
}

/** Keep the code of a picture in the address, so that it can be shared. */
function rememberCode(found) {
  if (!found || !state.query?.image || state.query.code === found.code) return;
  state = { ...state, query: { image: state.query.image, code: found.code } };
  history.replaceState(null, "", write(state));
  showQuery(state, underWay.signal);
}

async function showQuery(asked, signal) {
  const place = byId("query");
  const { query } = asked;
  document.body.classList.toggle("asked", query !== null && asked.view !== "bucket");
  if (!query || (query.text !== undefined && about.kind === "texts")) {
    place.hidden = true;
    place.replaceChildren();
    return;
  }
  const onclear = () => change({ query: null, view: "results" });
  let item = null;
  try {
    item = await queried(asked, columns[0]);
  } catch {
    if (!signal.aborted) place.hidden = true; // the column says what is wrong
    return;
  }
  if (signal.aborted) return;
  const image = query.image ? pictureOf(query.image) : null;
  const title = item ? nameOf(item) : query.image ? "your picture" : "a code";
  const code = page.isComparing ? null : (item?.code ?? query.code);
  place.replaceChildren(...querySummary(about, { image, title, item, code, onclear }));
  place.hidden = false;
}

/** Say how much two collections agree, and mark what both found. */
function showAgreement(found, asked, item) {
  const place = byId("agreement");
  place.hidden = true;
  if (asked.view !== "results" || !found.every((one) => one?.hits.length)) return;
  const keys = found.map((one) => one.hits.map((hit) => hit.item.key));
  const parts = [];
  if (found.length === 2) {
    const both = new Set(keys[0].filter((key) => keys[1].includes(key)));
    const most = Math.min(...keys.map((own) => own.length));
    const share = Math.round((100 * both.size) / most);
    parts.push(`Both found the same ${both.size} of ${most} items (${share}%), marked ●●.`);
    columns.forEach((column) => markBoth(column, both));
  }
  if (item?.label) {
    const right = found.map((one) => one.hits.filter((hit) => hit.item.label === item.label).length);
    const each = shown.map((one, i) => `${found.length > 1 ? `${one.name}: ` : ""}${right[i]} of ${found[i].hits.length}`);
    parts.push(`Same label as the query: ${each.join(", ")}.`);
  }
  place.textContent = parts.join(" ");
  place.hidden = parts.length === 0;
}

function markBoth(column, both) {
  for (const link of column.content.querySelectorAll(".card > a")) {
    if (!both.has(link.dataset.key)) continue;
    link.parentElement.classList.add("both");
    link.nextElementSibling.prepend(
      make("span", { class: "mark both-mark" }, "●●", make("span", { class: "hidden" }, " found by both")),
    );
  }
}

function showControls() {
  const { query, k, radius, rerank, where, view } = state;
  byId("k").max = Math.max(100, k);
  byId("k").value = k;
  byId("k-shown").textContent = count(k);
  byId("radius").value = radius ?? NO_LIMIT;
  byId("radius-shown").textContent = radius === null ? "any" : `at most ${radius}`;
  byId("rerank").checked = rerank;
  byId("rerank").disabled = Boolean(query?.code && !(query.image && pictureOf(query.image)));
  const text = byId("text");
  if (text && text !== document.activeElement) text.value = query?.text ?? "";
  if (text && !query) text.value = "";
  showFilters(where);
  for (const link of document.querySelectorAll(".views a")) {
    link.href = write({ ...state, view: link.dataset.view });
    link.toggleAttribute("aria-current", link.dataset.view === view);
  }
}

/** Look for the server again and again, and go on when it is back. */
function waitForServer() {
  const { signal } = underWay;
  setTimeout(async () => {
    if (signal.aborted) return;
    try {
      await ask("/api/v1/health", { signal });
      show();
    } catch {
      if (!signal.aborted) waitForServer();
    }
  }, 2000);
}

async function searchByPicture(file) {
  const first = columns[0];
  if (!file.type.startsWith("image/")) {
    first.content.replaceChildren(note("Not an image", `“${file.name}” is no image that a browser knows.`, [], "error"));
    return;
  }
  change({ query: { image: await take(file) }, view: state.view });
}

function debounced(act, milliseconds) {
  let waiting = 0;
  return () => {
    clearTimeout(waiting);
    waiting = setTimeout(act, milliseconds);
  };
}

function listenToControls() {
  const slide = debounced(() => {
    const radius = Number(byId("radius").value);
    change({ k: Number(byId("k").value), radius: radius >= NO_LIMIT ? null : radius }, true);
  }, 40);
  byId("k").addEventListener("input", slide);
  byId("radius").addEventListener("input", slide);
  byId("rerank").addEventListener("change", () => change({ rerank: byId("rerank").checked }, true));
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  byId("collection")?.addEventListener("change", (event) => location.assign(event.target.value));
  byId("with")?.addEventListener("change", (event) => {
    location.assign(write({ ...state, other: event.target.value || null }));
  });
  const text = byId("text");
  text?.addEventListener(
    "input",
    debounced(() => {
      const typed = text.value.trim();
      const isNew = !state.query?.text;
      if (typed === (state.query?.text ?? "")) return;
      change({ query: typed ? { text: typed } : null }, !isNew && Boolean(typed));
    }, 180),
  );
  if (byId("file")) listen(byId("file"), byId("drop-here"), searchByPicture);
}

/** Links to states are followed without loading the page anew, unless a new tab is asked for. */
function listenToLinks() {
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href^='?']");
    if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    state = read(link.search);
    history.pushState(null, "", link.search);
    show();
    if (!link.closest(".views")) scrollTo({ top: 0 });
  });
  addEventListener("popstate", () => {
    const before = state.other;
    state = read();
    if (state.other === before) show();
    else location.reload();
  });
}

function listenToKeys() {
  document.addEventListener("keydown", moveByKeys);
  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.matches("input:not([type=range], [type=checkbox]), select, textarea");
    if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      (byId("text") ?? byId("file") ?? document.querySelector(".card > a"))?.focus();
    }
    if (event.key !== "Escape" || event.defaultPrevented) return;
    if (isTyping && event.target.value) {
      event.preventDefault();
      event.target.value = "";
      event.target.dispatchEvent(new Event("input", { bubbles: true }));
    } else if (isTyping) event.target.blur();
    else if (state.view !== "results") change({ view: "results" });
    else if (state.query) change({ query: null });
  });
}

async function start() {
  if (matchMedia("(max-width: 48rem)").matches) byId("settings").open = false;
  listenToControls();
  listenToLinks();
  listenToKeys();
  show();
  try {
    const { fields } = await ask(addressOf(about.name));
    fillFilters(fields, state.where, (where) => change({ where }, true));
  } catch {
    byId("filters").removeAttribute("aria-busy"); // the columns say what is wrong
  }
}

start();
