// The drawing of a map: points on a canvas, with the pointer and the keys on them.

import { make } from "./elements.js";

const REACH = 14; // pixels from the pointer to a point
const EDGE = 26;

export class Plot {
  /** `points` are {x, y, colour}; `chosen(i)` is called for a click or Enter, `described(i)` gives what is said. */
  constructor(points, { label, chosen, described }) {
    this.points = points;
    this.alone = null; // the only colour that is drawn strongly
    this.current = -1;
    this.described = described;
    this.canvas = make("canvas", { "aria-hidden": "true" });
    this.ring = make("span", { class: "ring", hidden: true });
    this.probe = make("span", { hidden: true }); // a canvas knows no variables
    this.tip = make("div", { class: "tip", hidden: true });
    this.said = make("p", { class: "hidden", role: "status" });
    this.element = make(
      "div",
      { class: "plot", role: "application", tabindex: "0", "aria-label": label },
      this.canvas,
      this.probe,
      this.ring,
      this.tip,
      this.said,
    );
    this.element.addEventListener("keydown", (event) => this.onKey(event, chosen));
    this.element.addEventListener("pointermove", (event) => this.reach(this.nearest(event), false));
    this.element.addEventListener("pointerleave", () => this.reach(-1, false));
    this.element.addEventListener("blur", () => this.reach(-1, false));
    this.element.addEventListener("click", (event) => {
      const found = this.nearest(event);
      if (found >= 0) chosen(found);
    });
  }

  /** Draw when the room or the colours change, until the signal. */
  live(signal) {
    const redraw = () => this.draw();
    const size = new ResizeObserver(redraw);
    size.observe(this.element);
    const theme = new MutationObserver(redraw);
    theme.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw, { signal });
    signal.addEventListener("abort", () => {
      size.disconnect();
      theme.disconnect();
    });
  }

  draw() {
    const { width, height } = this.element.getBoundingClientRect();
    if (!width) return;
    const density = devicePixelRatio || 1;
    this.canvas.width = width * density;
    this.canvas.height = height * density;
    const context = this.canvas.getContext("2d");
    context.scale(density, density);
    this.place(width, height);
    const colourOf = (number) => this.colour(number < 0 ? "none" : `m${number}`);
    const groups = new Map();
    this.points.forEach((point, i) => {
      if (point.kind) return;
      const faint = this.alone !== null && point.colour !== this.alone;
      const key = faint ? "faint" : point.colour;
      if (!groups.has(key)) groups.set(key, []);
      groups.get(key).push(i);
    });
    for (const [key, group] of [...groups].sort(([a]) => (a === "faint" ? -1 : 1))) {
      context.fillStyle = key === "faint" ? this.colour("faint") : colourOf(key);
      context.globalAlpha = key === "faint" ? 1 : 0.75;
      for (const i of group) this.dot(context, i, 2.6);
    }
    context.globalAlpha = 1;
    this.points.forEach((point, i) => {
      if (point.kind) this.mark(context, point, i, colourOf(point.colour));
    });
    this.reach(this.current, false);
  }

  place(width, height) {
    const xs = this.points.map((point) => point.x);
    const ys = this.points.map((point) => point.y);
    const [left, right] = bounds(xs);
    const [low, high] = bounds(ys);
    const scale = Math.min((width - 2 * EDGE) / (right - left || 1), (height - 2 * EDGE) / (high - low || 1));
    const [x0, y0] = [width / 2 - (scale * (left + right)) / 2, height / 2 + (scale * (low + high)) / 2];
    this.places = this.points.map(({ x, y }) => [x0 + scale * x, y0 - scale * y]);
  }

  colour(name) {
    this.probe.style.color = `var(--${name})`;
    return getComputedStyle(this.probe).color;
  }

  dot(context, i, radius) {
    const [x, y] = this.places[i];
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.fill();
  }

  mark(context, { kind }, i, colour) {
    const [x, y] = this.places[i];
    context.lineWidth = 2;
    context.strokeStyle = this.colour("ink");
    if (kind === "hit") {
      context.fillStyle = colour;
      this.dot(context, i, 4.5);
      context.beginPath();
      context.arc(x, y, 5.5, 0, 2 * Math.PI);
      context.stroke();
      return;
    }
    context.fillStyle = this.colour("marked");
    context.strokeStyle = this.colour("paper");
    context.beginPath();
    for (let turn = 0; turn < 10; turn++) {
      const radius = turn % 2 ? 4.8 : 12;
      const angle = (turn * Math.PI) / 5 - Math.PI / 2;
      context.lineTo(x + radius * Math.cos(angle), y + radius * Math.sin(angle));
    }
    context.closePath();
    context.fill();
    context.stroke();
  }

  nearest(event) {
    const box = this.element.getBoundingClientRect();
    return this.least(([x, y], i) => {
      const far = Math.hypot(x + box.left - event.clientX, y + box.top - event.clientY);
      const bonus = this.points[i].kind ? 6 : 0; // what is marked lies on top
      return far <= REACH ? far - bonus : Infinity;
    });
  }

  least(measure) {
    let [found, least] = [-1, Infinity];
    (this.places ?? []).forEach((place, i) => {
      const value = measure(place, i);
      if (value < least) [found, least] = [i, value];
    });
    return found;
  }

  /** Give the nearest point in a direction. Points at one place come one after another. */
  next([stepX, stepY]) {
    const from = this.current;
    const [x, y] = this.places[from];
    const turn = stepX + stepY > 0 ? 1 : -1;
    return this.least(([u, v], i) => {
      if (i === from) return Infinity;
      const [right, down] = [u - x, v - y];
      if (Math.hypot(right, down) < 0.01) return (i - from) * turn > 0 ? Math.abs(i - from) * 1e-6 : Infinity;
      const ahead = right * stepX + down * stepY;
      const aside = Math.abs(right * stepY) + Math.abs(down * stepX);
      return ahead > 0.01 && aside <= 1.5 * ahead ? ahead + 2 * aside : Infinity;
    });
  }

  onKey(event, chosen) {
    const steps = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };
    if (event.ctrlKey || event.metaKey || event.altKey || !this.points.length) return;
    if (event.key in steps) {
      event.preventDefault();
      this.reach(this.current < 0 ? this.start() : this.next(steps[event.key]), true);
    } else if (event.key === "PageDown" || event.key === "PageUp") {
      event.preventDefault();
      this.reach(this.inTurn(event.key === "PageDown" ? 1 : -1), true);
    } else if (event.key === "Enter" && this.current >= 0) {
      chosen(this.current);
    } else if (event.key === "Escape" && this.current >= 0) {
      event.stopPropagation();
      this.reach(-1, false);
    }
  }

  /** The keys begin at the query, or else in the middle. */
  start() {
    const query = this.points.findIndex((point) => point.kind === "query");
    const [width, height] = [this.element.clientWidth, this.element.clientHeight];
    return query >= 0 ? query : this.least(([x, y]) => Math.hypot(x - width / 2, y - height / 2));
  }

  /** Give the point after the present one, or before it, by how far they are from the start. */
  inTurn(step) {
    const from = this.start();
    const [x, y] = this.places[from];
    const far = this.places.map(([u, v], i) => (i === from ? -1 : Math.hypot(u - x, v - y)));
    const order = [...far.keys()].sort((a, b) => far[a] - far[b] || a - b);
    return order[this.current < 0 ? 0 : order.indexOf(this.current) + step] ?? -1;
  }

  reach(i, byKeys) {
    if (byKeys && i < 0) return; // nothing lies in that direction
    if (i === this.current && !byKeys && i < 0) return;
    const isNew = i !== this.current;
    this.current = i;
    this.ring.hidden = this.tip.hidden = i < 0;
    this.element.style.cursor = i < 0 ? "" : "pointer";
    if (i < 0) return;
    const [x, y] = this.places[i];
    const width = this.element.clientWidth;
    this.ring.style.translate = `${x}px ${y}px`;
    this.tip.style.top = `${y}px`;
    this.tip.style.left = x < width / 2 ? `${x + 14}px` : "auto";
    this.tip.style.right = x < width / 2 ? "auto" : `${width - x + 14}px`;
    if (!isNew) return;
    const { text, shown } = this.described(i);
    this.tip.replaceChildren(...shown);
    if (byKeys) this.said.textContent = text;
  }
}

function bounds(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) [low, high] = [Math.min(low, value), Math.max(high, value)];
  return [low, high];
}
