// The map of a collection: its codes in the plane, with the query and what it finds.

import { addressOf, ask } from "./api.js";
import { bitsOf } from "./codes.js";
import { count, counted, make } from "./elements.js";
import { nameOf, picture } from "./items.js";
import { note } from "./notes.js";
import { Plot } from "./plot.js";

/** Show the map. */
export async function showMap(column, state, signal) {
  const { about } = column;
  const [map, found] = await Promise.all([
    ask(`${addressOf(about.name)}/map`, { signal }),
    state.query ? column.search(state, signal) : null,
  ]);
  if (!map.keys.length) {
    return { status: "", parts: [note("No map yet", "The collection has no items.")] };
  }
  const { points, query } = pointsOf(map, found, state);
  const plot = new Plot(points, {
    label: "Map of the codes. Arrow keys go to the next point, Page Down through all of them, Enter searches by one.",
    chosen: (i) => points[i].key && column.page.change({ query: { key: points[i].key } }),
    described: (i) => describe(about, map, points[i]),
  });
  return {
    status: statusOf(map, found),
    parts: [legend(map, plot, found), plot.element, inWords(column, map, found, query, points)],
    after: () => plot.live(signal),
  };
}

function statusOf(map, found) {
  const shown = map.keys.length < map.n_items ? `${count(map.keys.length)} of ${count(map.n_items)}` : `all ${count(map.n_items)}`;
  const marked = found ? ` The query and its ${found.hits.length} nearest are marked.` : "";
  return `${shown} items, in the plane in which their codes differ most (${Math.round(100 * map.share)}% of the variance).${marked}`
    .replace(/^a/, "A");
}

/** Place a code as the server places those of the map. */
function place(map, code) {
  const bits = bitsOf(code, map.n_bits);
  return map.directions.map((direction, axis) =>
    direction.reduce((sum, weight, j) => sum + (bits[j] ? weight : -weight), -map.centre[axis]),
  );
}

function pointsOf(map, found, { query: asked }) {
  const points = map.keys.map((key, i) => ({ key, x: map.x[i], y: map.y[i], colour: map.label[i] }));
  if (!found) return { points, query: null };
  const places = new Map(map.keys.map((key, i) => [key, i]));
  for (const hit of found.hits) {
    const [x, y] = place(map, hit.item.code);
    const point = { key: hit.item.key, x, y, colour: map.labels.indexOf(hit.item.label), kind: "hit", hit };
    if (places.has(point.key)) points[places.get(point.key)] = point;
    else points.push(point);
  }
  const [x, y] = place(map, found.code);
  const query = { key: asked.key ?? null, x, y, colour: -1, kind: "query" };
  if (places.has(query.key)) points.splice(places.get(query.key), 1);
  points.push(query);
  return { points, query };
}

function describe(about, map, { key, kind, hit, colour }) {
  const label = map.labels[colour];
  const role = kind === "query" ? "query" : hit ? counted(hit.distance, "bit") + " from the query" : "";
  const name = hit ? nameOf(hit.item) : (key ?? "what you search by");
  const lines = [name, label ? `label ${label}` : "", role].filter(Boolean);
  const shown = lines.map((line) => make("span", {}, line));
  if (key && about.kind === "images") shown.unshift(picture(about, hit?.item ?? { key, code: "00" }));
  return { text: lines.join(", "), shown };
}

function legend(map, plot, found) {
  const dot = (number) => make("span", { class: `dot m${number}`, "aria-hidden": "true" });
  const buttons = map.labels.map((label, number) => {
    const button = make("button", { type: "button", "aria-pressed": "false" }, dot(number), label);
    button.addEventListener("click", () => {
      plot.alone = plot.alone === number ? null : number;
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button && plot.alone !== null));
      plot.draw();
    });
    return button;
  });
  const others = map.label.includes(-1) ? make("span", { class: "key" }, dot("none"), map.labels.length ? "other or none" : "items") : null;
  const marks = found
    ? [make("span", { class: "key" }, make("span", { class: "star", "aria-hidden": "true" }, "★"), "query"),
       make("span", { class: "key" }, make("span", { class: "dot found", "aria-hidden": "true" }), "found")]
    : [];
  return make(
    "div",
    { class: "legend", role: "group", "aria-label": "Labels: press one to see it alone" },
    buttons, others, marks,
  );
}

function inWords({ about, linkTo, page }, map, found, query, points) {
  const details = make("details", { class: "in-words" }, make("summary", {}, "The map in words"));
  const sums = map.labels.map((label, number) => {
    const own = points.filter((point) => point.colour === number);
    const mean = (axis) => own.reduce((sum, point) => sum + point[axis], 0) / Math.max(1, own.length);
    return [label, own.length, mean("x"), mean("y")];
  });
  if (found) {
    details.append(
      table(
        "What the query finds, and where it lies; the query lies at " + at(query.x, query.y),
        ["item", "label", "distance", "place"],
        found.hits.map(({ item, distance }) => [
          make("a", { href: linkTo.call({ page }, item) }, nameOf(item)),
          item.label ?? "",
          counted(distance, "bit"),
          at(...place(map, item.code)),
        ]),
      ),
    );
  }
  if (sums.length) {
    details.append(
      table("Where the items of each label lie, on average", ["label", "items on the map", "place"],
        sums.map(([label, n, x, y]) => [label, count(n), at(x, y)])),
    );
  } else {
    details.append(make("p", {}, `${counted(map.keys.length, "item")} without labels; kind: ${about.kind}.`));
  }
  return details;
}

const at = (x, y) => `${x.toFixed(1)}, ${y.toFixed(1)}`;

function table(caption, heads, rows) {
  return make(
    "table",
    {},
    make("caption", {}, caption),
    make("thead", {}, make("tr", {}, heads.map((head) => make("th", { scope: "col" }, head)))),
    make("tbody", {}, rows.map((row) => make("tr", {}, row.map((cell, i) => make(i ? "td" : "th", i ? {} : { scope: "row" }, cell))))),
  );
}
