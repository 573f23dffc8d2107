// What stands where there is nothing to show: while waiting, when nothing is found, and after errors.

import { make } from "./elements.js";

/** Show grey cards while the first answer is under way. */
export function waiting(kind, n = 10) {
  return make(
    "ul",
    { class: `cards ${kind} waiting`, "aria-hidden": "true" },
    Array.from({ length: n }, () => make("li", { class: "card" }, make("span", { class: "picture" }))),
  );
}

/** Show a sentence, and what can be done. Actions are [text, function]. */
export function note(title, text, actions = [], kind = "empty") {
  return make(
    "div",
    { class: `note ${kind}`, role: kind === "error" ? "alert" : null },
    make("p", { class: "title" }, title),
    text ? make("p", {}, text) : null,
    actions.length
      ? make("p", { class: "actions" }, actions.map(([word, act]) => make("button", { type: "button", onclick: act }, word)))
      : null,
  );
}

/** Whether the same request may succeed a little later. */
const isPassing = ({ status }) => status === undefined || status >= 500;

/** Show a Problem, or an error of the page itself. */
export function problem(error, retry, clear) {
  if (error.status === 0) {
    return note(
      "The server does not answer",
      "It may have been stopped. The page goes on by itself when it is back.",
      [["Try again", retry]],
      "error",
    );
  }
  const known = typeof error.status === "number";
  const title = { 404: "Not here", 413: "Too large", 422: "This cannot be searched by" }[error.status];
  return note(
    title ?? "That went wrong",
    known ? error.message : "The page met an error of its own.",
    isPassing(error) ? [["Try again", retry]] : [["Clear the query", clear]],
    "error",
  );
}
