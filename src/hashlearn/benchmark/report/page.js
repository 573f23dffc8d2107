"use strict";
// Draws the charts from the JSON in the page, and opens the panel of a number. Whatever comes from
// files becomes text nodes, never markup.

const data = JSON.parse(document.getElementById("data").textContent);
const SVG = new DOMParser().parseFromString("<svg></svg>", "text/html").querySelector("svg").namespaceURI;
const DASHES = ["", "7 4", "2 3", "9 3 2 3", "4 2", "12 4", "1 4", "6 2 2 2"];
const N_COLOURS = 8, N_LABELS = 10;
document.documentElement.classList.add("scripted");

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value !== undefined && value !== null && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}
const html = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const distinct = (values) => [...new Set(values)];
const colourOf = (series) => `var(--c${series % N_COLOURS})`;
// After the last colour the first comes again, with another dash.
const dashOf = (series) => DASHES[(series + Math.floor(series / N_COLOURS)) % DASHES.length];

function short(value) {
  if (value >= 1e6) return `${+(value / 1e6).toPrecision(3)}M`;
  if (value >= 1e3) return `${+(value / 1e3).toPrecision(3)}k`;
  return `${+value.toPrecision(3)}`;
}
const tidy = (value) => String(+value.toFixed(3)).replace(/^0\./, ".");
const fraction = (value) => value.toFixed(3).replace(/^0\./, ".");

// --- Charts ---------------------------------------------------------------------------------------

function linearTicks(low, high, count) {
  const step = 10 ** Math.floor(Math.log10((high - low) / count || 1));
  const width = [1, 2, 2.5, 5, 10].map((factor) => factor * step).find((w) => (high - low) / w <= count);
  const ticks = [];
  for (let tick = Math.ceil(low / width) * width; tick <= high + width * 1e-6; tick += width) {
    ticks.push(+tick.toPrecision(12));
  }
  return ticks;
}

function logTicks(low, high) {
  const ticks = [];
  for (let power = Math.ceil(Math.log10(low)); 10 ** power <= high * 1.0001; power++) ticks.push(10 ** power);
  return ticks.length > 1 ? ticks : [low, high];
}

function scaleOf(low, high, from, to, log) {
  const bend = log ? (value) => Math.log10(Math.max(value, 1e-12)) : (value) => value;
  const span = bend(high) - bend(low) || 1;
  return (value) => from + ((bend(value) - bend(low)) / span) * (to - from);
}

// spec: title, aria, x and y ({label, log, low, high, write}), height, and lines:
// [{name, series, colour, dash, points: [[x, y], ...], low, high, area}]
function chart(place, spec) {
  const hidden = new Set();
  const drawn = html("div", { class: "plot" });
  const legend = html("div", { class: "legend" });
  const names = distinct(spec.lines.map((line) => line.name));
  for (const name of spec.legend === false ? [] : names) {
    const line = spec.lines.find((candidate) => candidate.name === name);
    const button = html("button", { type: "button", "aria-pressed": "true" },
      svg("svg", { viewBox: "0 0 26 10", "aria-hidden": "true" }, svg("line", {
        x1: 0, x2: 26, y1: 5, y2: 5, style: `stroke: ${line.colour}`, "stroke-width": 2.5,
        "stroke-dasharray": line.dash })), name);
    button.addEventListener("click", () => {
      hidden.has(name) ? hidden.delete(name) : hidden.add(name);
      button.setAttribute("aria-pressed", String(!hidden.has(name)));
      draw();
    });
    legend.append(button);
  }
  const title = spec.title ? html("figcaption", {}, spec.title) : null;
  place.replaceChildren(...[title, names.length && spec.legend !== false ? legend : null, drawn].filter(Boolean));

  function draw() {
    const width = Math.max(220, Math.floor(drawn.clientWidth || 600));
    const height = spec.height || Math.round(Math.min(400, Math.max(240, width * 0.56)));
    const lines = spec.lines.filter((line) => !hidden.has(line.name));
    const xs = spec.lines.flatMap((line) => line.points.map((point) => point[0]));
    const ys = spec.lines.flatMap((line) => line.points.map((point) => point[1]).concat(line.high || []));
    const xLow = spec.x.low ?? Math.min(...xs), xHigh = spec.x.high ?? Math.max(...xs);
    const yTop = spec.y.high ?? Math.max(...ys);
    const yLow = spec.y.low ?? Math.min(...ys), yHigh = spec.y.high ?? yTop + 0.04 * (yTop - yLow || 1);
    const yWrite = spec.y.write || short, xWrite = spec.x.write || short;
    const yTicks = linearTicks(yLow, yHigh, height < 250 ? 5 : 6);
    const left = 14 + 7 * Math.max(...yTicks.map((tick) => yWrite(tick).length)), right = 14, top = 22, bottom = 40;
    const x = scaleOf(xLow, xHigh, left, width - right, spec.x.log);
    const y = scaleOf(yLow, yHigh, height - bottom, top, false);
    const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", tabindex: 0, "aria-label": spec.aria });
    for (const tick of yTicks) {
      picture.append(svg("line", { class: "grid", x1: left, x2: width - right, y1: y(tick), y2: y(tick) }),
        svg("text", { x: left - 6, y: y(tick) + 4, "text-anchor": "end" }, yWrite(tick)));
    }
    const xTicks = spec.x.ticks || (spec.x.log ? logTicks(xLow, xHigh) : linearTicks(xLow, xHigh, width < 330 ? 4 : 6));
    for (const tick of xTicks) {
      picture.append(svg("line", { class: "axis", x1: x(tick), x2: x(tick), y1: height - bottom, y2: height - bottom + 4 }),
        svg("text", { x: x(tick), y: height - bottom + 17, "text-anchor": "middle" }, xWrite(tick)));
    }
    picture.append(svg("line", { class: "axis", x1: left, x2: width - right, y1: height - bottom, y2: height - bottom }),
      svg("text", { x: (left + width - right) / 2, y: height - 4, "text-anchor": "middle" }, spec.x.label),
      svg("text", { x: 0, y: 11 }, spec.y.label));
    for (const line of lines) drawLine(picture, line, x, y, height - bottom);
    const guide = svg("g", {});
    picture.append(guide);
    listen(picture, guide, lines, x, y, [top, height - bottom], { ...spec, yWrite: spec.y.exact || fraction, xWrite });
    drawn.replaceChildren(picture);
  }
  draw();
  watch(drawn, draw);
}

function drawLine(picture, line, x, y, floor) {
  const path = (points) => points.map(([a, b], i) => `${i ? "L" : "M"}${x(a).toFixed(1)} ${y(b).toFixed(1)}`).join("");
  if (line.low && line.high) {
    const upper = line.points.map((point, i) => [point[0], line.high[i]]);
    const lower = line.points.map((point, i) => [point[0], line.low[i]]).reverse();
    picture.append(svg("path", { class: "band", d: `${path(upper)}${path(lower).replace("M", "L")}Z`,
      style: `fill: ${line.colour}; opacity: .14` }));
  }
  if (line.area) {
    const ends = [line.points[line.points.length - 1][0], line.points[0][0]];
    picture.append(svg("path", { d: `${path(line.points)}L${x(ends[0])} ${floor}L${x(ends[1])} ${floor}Z`,
      style: `fill: ${line.colour}; opacity: .16` }));
  }
  picture.append(svg("path", { class: "line", "data-name": line.name, d: path(line.points), fill: "none",
    "stroke-width": line.thin ? 1.3 : 2.2, "stroke-dasharray": line.dash, "stroke-linejoin": "round", style: `stroke: ${line.colour}` }));
}

function listen(picture, guide, lines, x, y, [top, floor], spec) {
  const tip = document.getElementById("tip");
  let at = -1;
  const grid = distinct(lines.filter((line) => !line.quiet).flatMap((line) => line.points.map((point) => point[0]))).sort((a, b) => a - b);
  function show(value, clientX, clientY) {
    guide.replaceChildren(svg("line", { class: "guide", x1: x(value), x2: x(value), y1: top, y2: floor }));
    const rows = lines.filter((line) => !line.quiet).map((line) => {
      const gap = (point) => Math.abs(x(point[0]) - x(value));
      const point = line.points.reduce((best, candidate) => (gap(candidate) < gap(best) ? candidate : best));
      guide.append(svg("circle", { cx: x(point[0]), cy: y(point[1]), r: 3.5, style: `fill: ${line.colour}` }));
      return [point[1], html("p", {}, html("span", { class: "dot", style: `background: ${line.colour}` }),
        html("span", {}, line.name), html("span", {}, spec.yWrite(point[1])))];
    }).sort((a, b) => b[0] - a[0]);
    tip.replaceChildren(html("p", {}, html("span", {}, spec.x.label), html("span", {}, spec.xWrite(value))), ...rows.map((row) => row[1]));
    tip.hidden = false;
    const width = tip.offsetWidth, height = tip.offsetHeight;
    tip.style.left = `${clientX + 16 + width > innerWidth ? Math.max(4, clientX - width - 16) : clientX + 16}px`;
    tip.style.top = `${Math.max(4, Math.min(clientY - height / 2, innerHeight - height - 4))}px`;
  }
  function hide() { guide.replaceChildren(); tip.hidden = true; at = -1; }
  if (!grid.length) return;
  picture.addEventListener("pointermove", (event) => {
    const box = picture.getBoundingClientRect();
    const spot = (event.clientX - box.left) * (picture.viewBox.baseVal.width / box.width);
    at = grid.reduce((best, value, i) => (Math.abs(x(value) - spot) < Math.abs(x(grid[best]) - spot) ? i : best), 0);
    show(grid[at], event.clientX, event.clientY);
  });
  picture.addEventListener("pointerleave", hide);
  picture.addEventListener("blur", hide);
  picture.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (event.key === "Escape") hide();
    if (!step) return;
    event.preventDefault();
    at = Math.min(grid.length - 1, Math.max(0, at + step));
    const box = picture.getBoundingClientRect();
    show(grid[at], box.left + (x(grid[at]) * box.width) / picture.viewBox.baseVal.width, box.top + box.height / 2);
  });
}

const redraws = new Map();
const watcher = new ResizeObserver((entries) => entries.forEach(({ target, contentRect }) => {
  const known = redraws.get(target);
  if (known && Math.abs(known.width - contentRect.width) > 1) { known.width = contentRect.width; known.draw(); }
}));
function watch(node, draw) {
  for (const old of redraws.keys()) if (!old.isConnected) { watcher.unobserve(old); redraws.delete(old); }
  redraws.set(node, { draw, width: node.clientWidth });
  watcher.observe(node);
}

// --- Choosing what to draw ------------------------------------------------------------------------

function ofSetting(setting, has) {
  return data.summaries.map((summary, number) => ({ ...summary, number }))
    .filter((summary) => summary.setting === setting && has(summary));
}

function options(select, pairs, wanted) {
  select.replaceChildren(...pairs.map(([value, text]) => html("option", { value, selected: String(value) === wanted ? "" : null }, text)));
  const label = select.closest("label");
  label.hidden = pairs.length < 2;
  label.style.display = pairs.length < 2 ? "none" : "";
}

// Wires the selects of a section: draws again whenever one of them changes.
function section(id, has, draw) {
  const form = document.querySelector(`#${id} form`);
  if (!form) return;
  const pick = (name) => form.elements.namedItem(name);
  const usable = data.settings.map((_, place) => place).filter((place) => ofSetting(place, has).length);
  options(pick("setting"), usable.map((place) => [place, data.settings[place].title]));
  function change() {
    const setting = +pick("setting").value;
    if (pick("bits")) {
      const lengths = distinct(ofSetting(setting, has).map((summary) => summary.bits)).sort((a, b) => a - b);
      options(pick("bits"), lengths.map((bits) => [bits, bits]), pick("bits").value);
    }
    const shown = ofSetting(setting, (summary) => has(summary) && (!pick("bits") || summary.bits === +pick("bits").value));
    if (pick("curve")) {
      const known = distinct(shown.flatMap((summary) => Object.keys(summary.curves)));
      options(pick("curve"), known.map((name) => [name, curveName(name)]), pick("curve").value);
    }
    draw(shown, { curve: pick("curve")?.value, setting });
  }
  form.addEventListener("change", change);
  form.addEventListener("submit", (event) => event.preventDefault());
  change();
}

function curveName(name) {
  const fixed = { precision: "precision by number of items", by_rank: "precision and recall, item by item",
    by_radius: "precision and recall, radius by radius (mean over queries)", pooled: "precision and recall, all queries pooled" };
  if (fixed[name]) return fixed[name];
  const nearest = name.split(":")[1];
  if (nearest === "all") return "recall by number of items";
  return `recall of the ${nearest === "1" ? "nearest" : `${(+nearest).toLocaleString("en")} nearest`} (R-${short(+nearest).toUpperCase()})`;
}

const lineOf = (summary, points, more) => ({ name: summary.label, colour: colourOf(summary.series),
  dash: dashOf(summary.series), points, ...more });
const zip = (xs, ys) => xs.map((x, i) => [x, ys[i]]);
const about = (shown) => `${data.settings[shown[0].setting].title}, ${shown[0].bits} bits`;

section("curves", (summary) => Object.keys(summary.curves).length, (shown, { curve }) => {
  const place = document.querySelector('[data-chart="curves"]');
  const having = shown.filter((summary) => summary.curves[curve]);
  const byRank = curve === "precision" || curve.startsWith("recall");
  const lines = having.map((summary) => {
    const found = summary.curves[curve];
    return lineOf(summary, zip(found.x, found.y), { low: found.low, high: found.high });
  });
  chart(place, {
    lines, aria: `${curveName(curve)}: ${about(having)}; ${having.map((summary) => summary.label).join(", ")}`,
    x: byRank ? { label: "retrieved items", log: true, write: short } : { label: "recall", low: 0, high: 1, write: tidy },
    y: { label: curve.startsWith("recall") ? "recall" : "precision", low: 0, high: 1, write: tidy },
  });
});

const weightOf = new Map(data.weights.map((weight) => [weight.summary, weight]));
section("pooled", (summary) => weightOf.has(summary.number), (shown) => {
  const percent = (value) => `${Math.round(100 * value)} %`;
  const even = { name: "all alike", colour: "var(--soft)", dash: "3 3", thin: true, quiet: true, points: [[0, 0], [1, 1]] };
  chart(document.querySelector('[data-chart="shares"]'), {
    title: "Weight in the pooled curve", height: 240, aria: `Share of the retrieved pairs by share of the queries: ${about(shown)}`,
    lines: [...shown.map((s) => lineOf(s, weightOf.get(s.number).shares.map((share, i) => [i / 100, share]))), even],
    x: { label: "share of the queries, heaviest first", low: 0, high: 1, write: percent },
    y: { label: "share of the retrieved pairs", low: 0, high: 1, write: percent, exact: percent },
  });
  const tenths = (name, title, label) => chart(document.querySelector(`[data-chart="${name}"]`), {
    title, height: 240, aria: `${label} of each tenth of the queries, heaviest first: ${about(shown)}`,
    lines: shown.map((s) => lineOf(s, weightOf.get(s.number)[name].map((value, i) => [i + 1, value]))),
    x: { label: "tenth of the queries, heaviest first", low: 1, high: 10, ticks: [1, 4, 7, 10], write: String },
    y: { label, low: 0, high: 1, write: tidy },
  });
  tenths("precisions", "Precision within the same radius", "precision");
  tenths("average_precisions", "Each query’s own ranking", "mean AP");
});

section("learning", (summary) => Object.keys(summary.history).length, (shown) => {
  const place = document.querySelector('[data-chart="history"]');
  const pairs = distinct(shown.flatMap((s) => Object.keys(s.history).map((name) => `${s.label}\n${name}`)));
  place.replaceChildren();
  for (const pair of pairs) {
    const [label, name] = pair.split("\n");
    const figure = html("figure", { class: "chart" });
    place.append(figure);
    const lines = shown.filter((s) => s.label === label && s.history[name]).map((s, i) => ({
      name: `${s.bits} bits`, colour: colourOf(i), dash: dashOf(i),
      points: s.history[name].map((value, step, values) => [(100 * step) / (values.length - 1), value]) }));
    chart(figure, { title: `${label}: ${name.replaceAll("_", " ")}`, height: 210, lines,
      aria: `Learning curve of ${label}, ${name}`, x: { label: "% of the training", low: 0, high: 100 }, y: { label: "", exact: short } });
  }
});

section("distances", (summary) => Object.keys(summary.distances).length, (shown) => {
  const place = document.querySelector('[data-chart="distances"]');
  place.replaceChildren();
  const top = Math.max(...shown.flatMap((s) => [...s.distances.relevant, ...s.distances.irrelevant]));
  for (const s of shown) {
    const figure = html("figure", { class: "chart" });
    place.append(figure);
    const line = (name, colour, dash) => ({ name, colour, dash, area: true, points: s.distances[name].map((share, d) => [d, share]) });
    chart(figure, { title: s.label, height: 210, aria: `Distribution of the Hamming distance under ${s.label}, ${s.bits} bits`,
      lines: [line("relevant", "var(--c0)", ""), line("irrelevant", "var(--c1)", "5 3")],
      x: { label: "Hamming distance" }, y: { label: "share of the pairs", low: 0, high: 1.05 * top, write: tidy } });
  }
});

// --- Tables ---------------------------------------------------------------------------------------

function numberButton(summary, metric) {
  const value = data.summaries[summary].values[metric];
  if (!value) return html("span", { class: "none" }, "–");
  return html("button", { type: "button", class: "number", "data-summary": summary, "data-metric": metric },
    value.text, value.deviation ? html("span", { class: "spread" }, ` ± ${value.deviation}`) : null);
}

function showMetric(table, metric, label, less) {
  table.dataset.metric = metric;
  table.caption.textContent = label;
  for (const cell of all("td[data-summary]", table)) cell.replaceChildren(numberButton(+cell.dataset.summary, metric));
  const rows = [...table.tBodies[0].rows];
  for (let column = 1; column < (rows[0]?.cells.length || 0); column++) {
    const cells = rows.map((row) => row.cells[column]);
    const best = Math[less ? "min" : "max"](...cells.map(meanOf).filter((mean) => mean !== null));
    for (const cell of cells) cell.classList.toggle("best", rows.length > 1 && meanOf(cell) === best);
  }
}

function meanOf(cell) {
  const metric = cell.closest("table").dataset.metric;
  return data.summaries[+(cell.dataset.summary ?? -1)]?.values[metric]?.mean ?? null;
}

function makeSortable(table) {
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = html("button", { type: "button" }, head.textContent);
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const falling = head.getAttribute("aria-sort") !== "descending" && (column > 0 || head.hasAttribute("aria-sort"));
      all("th", table.tHead).forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", falling ? "descending" : "ascending");
      const key = (row) => (column ? meanOf(row.cells[column]) ?? -Infinity : row.cells[0].textContent);
      const rows = [...table.tBodies[0].rows].sort((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0));
      table.tBodies[0].append(...(falling ? rows.reverse() : rows));
    });
  });
}

for (const select of all("select.metric")) {
  const table = document.getElementById(`own-${select.dataset.setting}`);
  const change = () => {
    const option = select.selectedOptions[0];
    if (option) showMetric(table, option.value, option.textContent, option.dataset.less === "1");
  };
  select.addEventListener("change", change);
  change();
  makeSortable(table);
}

// --- The panel of a number ------------------------------------------------------------------------

const panel = document.getElementById("panel");

function openPanel({ summary: number, metric, printed }) {
  const summary = data.summaries[+number], setting = data.settings[summary.setting];
  const value = summary.values[metric];
  const heading = (text) => html("h3", {}, text), text = (words) => html("p", {}, words);
  const json = (title, object) => html("details", {}, html("summary", {}, title), html("pre", {}, html("code", {}, JSON.stringify(object, null, 1))));
  const columns = distinct([metric, "fit_seconds", "encode_seconds", "peak_memory_bytes"])
    .filter((name) => summary.seeds.some((run) => run.values[name] !== undefined));
  const table = html("div", { class: "scroll" }, html("table", {},
    html("thead", {}, html("tr", {}, ...["seed", ...columns.map((name) => summary.values[name].label), "commit", "time (UTC)"].map((head) => html("th", { scope: "col" }, head)))),
    html("tbody", {}, ...summary.seeds.map((run) => html("tr", {}, html("th", { scope: "row" }, String(run.seed)),
      ...columns.map((name) => html("td", {}, run.values[name] ?? "–")), html("td", {}, html("code", {}, run.commit)), html("td", {}, run.time))))));
  const copy = html("button", { type: "button", class: "copy" }, "Copy");
  copy.addEventListener("click", () => navigator.clipboard?.writeText(summary.command).then(() => { copy.textContent = "Copied"; }, () => {}));
  document.getElementById("panel-title").textContent = `${summary.label}, ${summary.bits} bits`;
  panel.querySelector(".body").replaceChildren(...[
    html("p", { class: "headline" }, value.text, value.deviation ? html("span", { class: "spread" }, ` ± ${value.deviation}`) : null),
    text(`${value.label}, ${summary.seeds.length > 1 ? `mean over ${summary.seeds.length} seeds` : "one seed"}. ${setting.data}.`),
    printed ? text(printed) : null,
    heading("Each seed"), table,
    heading("How it is judged"), text(setting.protocol_words), json("The protocol as JSON", setting.protocol),
    heading("Which items ask and answer"), text(setting.split_words), json("The split as JSON", setting.split),
    heading("Run it again"), html("pre", {}, html("code", { class: "command" }, summary.command)), copy,
    heading("With what"), text(`Features: ${setting.features}. ${summary.machine}${summary.python ? `, Python ${summary.python}` : ""}.`),
    json("Parameters", summary.parameters), json("Versions", summary.versions),
  ].filter(Boolean));
  panel.showModal();
  panel.scrollTop = 0;
}
document.addEventListener("click", (event) => {
  const button = event.target.closest(".number");
  if (button) openPanel(button.dataset);
  if (event.target === panel || event.target.closest(".close")) panel.close();
});

// --- Maps of codes, and what is found -------------------------------------------------------------

const alone = new Map(); // the label that each view shows alone in colour

function drawMap(canvas) {
  const map = data.maps[+canvas.dataset.view][+canvas.dataset.map], only = alone.get(canvas.dataset.view) ?? null;
  const style = getComputedStyle(document.documentElement), size = canvas.clientWidth || 260, sharp = devicePixelRatio || 1;
  canvas.width = canvas.height = Math.round(size * sharp);
  const context = canvas.getContext("2d");
  context.scale(sharp, sharp);
  const margin = 10, spot = (value) => margin + (value / 1000) * (size - 2 * margin);
  const grey = style.getPropertyValue("--none"), colours = Array.from({ length: N_LABELS }, (_, i) => style.getPropertyValue(`--m${i}`));
  const isShown = (label) => label >= 0 && (only === null || only === label);
  for (const shown of [false, true]) {
    map.points.forEach(([x, y], i) => {
      if (isShown(map.labels[i]) !== shown) return;
      context.fillStyle = shown ? colours[map.labels[i] % N_LABELS] : grey;
      context.beginPath();
      context.arc(spot(x), spot(y), 2.3, 0, 2 * Math.PI);
      context.fill();
    });
  }
  nameLabels(context, map, isShown, spot, style, size);
}

// Writes each label at the median of its items.
function nameLabels(context, map, isShown, spot, style, size) {
  context.font = `700 14px ${getComputedStyle(document.body).fontFamily}`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.lineWidth = 4;
  context.strokeStyle = style.getPropertyValue("--paper");
  const names = map.names.map((_, label) => label).filter(isShown), taken = [];
  const areShort = map.names.every((name) => name.length <= 3);
  names.forEach((label) => {
    const name = map.names[label], mine = map.points.filter((_, i) => map.labels[i] === label);
    if (!mine.length || (!areShort && names.length > 1)) return; // the legend names long ones
    const middle = (axis) => spot(mine.map((point) => point[axis]).sort((a, b) => a - b)[mine.length >> 1]);
    const half = context.measureText(name).width / 2 + 3;
    const x = Math.min(size - half, Math.max(half, middle(0))), y = middle(1);
    if (taken.some(([a, b]) => Math.abs(a - x) < 2 * half && Math.abs(b - y) < 14)) return;
    taken.push([x, y]);
    context.strokeText(name, x, y);
    context.fillStyle = style.getPropertyValue("--ink");
    context.fillText(name, x, y);
  });
}

const canvases = all("canvas[data-view]");
const drawMaps = (view) => canvases.filter((canvas) => view === undefined || canvas.dataset.view === view).forEach(drawMap);
for (const legend of all("[data-legend]")) {
  const view = legend.dataset.legend, names = data.maps[+view][0].names;
  names.forEach((name, label) => {
    const button = html("button", { type: "button", "aria-pressed": "true" }, html("span", { class: "dot", style: `background: var(--m${label % N_LABELS})` }), name);
    button.addEventListener("click", () => {
      alone.set(view, alone.get(view) === label ? null : label);
      const only = alone.get(view);
      all("button", legend).forEach((other, i) => other.setAttribute("aria-pressed", String(only === null || only === i)));
      drawMaps(view);
    });
    legend.append(button);
  });
}
canvases.forEach((canvas) => watch(canvas, () => drawMap(canvas)));
drawMaps();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawMaps());

for (const gallery of all(".gallery")) {
  const buttons = all(".pick button", gallery), answers = all(".answer", gallery);
  const pick = (chosen) => {
    answers.forEach((answer, i) => { answer.hidden = i !== chosen; });
    buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(i === chosen)));
  };
  buttons.forEach((button, i) => button.addEventListener("click", () => pick(i)));
  const spread = answers.map((answer) => {
    const nRight = all(".line", answer).map((line) => all(".right", line).length);
    return Math.max(...nRight) - Math.min(...nRight);
  });
  pick(spread.indexOf(Math.max(...spread))); // where the methods differ most
}

// The contents say where the reader is.
const links = new Map(all(".contents a").map((link) => [link.hash.slice(1), link]));
const spy = new IntersectionObserver((entries) => entries.forEach(({ target, isIntersecting }) => {
  if (!isIntersecting) return;
  links.forEach((link) => link.removeAttribute("aria-current"));
  links.get(target.id)?.setAttribute("aria-current", "true");
}), { rootMargin: "-10% 0px -80% 0px" });
all("main > section").forEach((target) => spy.observe(target));
