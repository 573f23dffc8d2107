// Filters, made from the fields of a collection: values to choose, numbers from and to, texts.

import { byId, count, make } from "./elements.js";

const SHOWN = 12; // values of a field at once
const MOST = 50; // values that the server lists of a field

/** Fill the form with the fields of a collection; call back with conditions when they change. */
export function fillFilters(fields, where, callback) {
  const place = byId("filters");
  const names = Object.keys(fields).sort((a, b) => (b === "label") - (a === "label"));
  const parts = names.map((name) => part(name, fields[name]));
  parts.push(contains("key", "Name"));
  place.replaceChildren(
    ...parts,
    make("button", { type: "button", class: "quiet clear", hidden: true, onclick: () => callback({}) }, "Clear the filters"),
  );
  place.removeAttribute("aria-busy");
  let waiting = 0;
  place.addEventListener("input", ({ target }) => {
    clearTimeout(waiting);
    waiting = setTimeout(() => callback(conditions(place)), target.type === "checkbox" ? 0 : 180);
  });
  showFilters(where);
}

/** Bring the form in line with conditions, as after going back. */
export function showFilters(where) {
  const place = byId("filters");
  for (const field of place.querySelectorAll("[data-field]")) {
    const condition = where[field.dataset.field];
    for (const input of field.querySelectorAll("input")) {
      if (input === document.activeElement && input.type !== "checkbox") continue;
      if (input.type === "checkbox") input.checked = has(condition, JSON.parse(input.value));
      else input.value = condition?.[input.dataset.part] ?? "";
    }
  }
  const clear = place.querySelector(".clear");
  if (clear) clear.hidden = Object.keys(where).length === 0;
}

function has(condition, value) {
  return Array.isArray(condition) ? condition.includes(value) : condition === value;
}

function conditions(place) {
  const where = {};
  for (const field of place.querySelectorAll("[data-field]")) {
    const chosen = [...field.querySelectorAll("input:checked")].map((input) => JSON.parse(input.value));
    const condition = {};
    for (const input of field.querySelectorAll("input:not([type=checkbox])")) {
      if (input.value === "" || !input.validity.valid) continue;
      condition[input.dataset.part] = input.type === "number" ? Number(input.value) : input.value;
    }
    if (chosen.length) where[field.dataset.field] = chosen;
    else if (Object.keys(condition).length) where[field.dataset.field] = condition;
  }
  return where;
}

function part(name, values) {
  const title = name === "label" ? "Label" : name;
  if (values.every(({ value }) => typeof value === "number")) return range(name, title, values);
  if (values.length >= MOST && values[0].n === 1) return contains(name, title);
  return choice(name, title, values);
}

function choice(name, title, values) {
  const byName = (a, b) => String(a.value).localeCompare(String(b.value), "en", { numeric: true });
  const inOrder = values.length > SHOWN ? values : [...values].sort(byName); // of many, frequent ones first
  const options = inOrder.map(({ value, n }) =>
    make(
      "label",
      { class: "chip" },
      make("input", { type: "checkbox", value: JSON.stringify(value) }),
      make("span", {}, String(value)),
      make("span", { class: "n" }, count(n)),
    ),
  );
  const more = options.splice(SHOWN);
  return make(
    "fieldset",
    { "data-field": name },
    make("legend", {}, title),
    make("div", { class: "chips" }, options),
    more.length
      ? make("details", { class: "more" }, make("summary", {}, `${more.length} more`), make("div", { class: "chips" }, more))
      : null,
  );
}

function range(name, title, values) {
  const numbers = values.map(({ value }) => value);
  const known = values.length < MOST; // of more, the server lists the most frequent only
  const ends = { min: Math.min(...numbers), max: Math.max(...numbers) };
  return make(
    "fieldset",
    { "data-field": name },
    make("legend", {}, title),
    make(
      "div",
      { class: "range" },
      ["min", "max"].map((end) =>
        make(
          "label",
          {},
          end === "min" ? "from" : "to",
          make("input", { type: "number", "data-part": end, step: "any", placeholder: known ? ends[end] : null }),
        ),
      ),
    ),
  );
}

function contains(name, title) {
  return make(
    "fieldset",
    { "data-field": name },
    make("legend", {}, `${title} contains`),
    make("input", { type: "text", "data-part": "contains", "aria-label": `${title} contains`, autocomplete: "off" }),
  );
}
