// What the page shows, as its address says it: back, forward and sharing work by that.

export const VIEWS = ["results", "bucket", "map"];
const K = 20;

/** Read an address. */
export function read(search = location.search) {
  const asked = new URLSearchParams(search);
  return {
    query: queryOf(asked),
    k: whole(asked.get("k"), 1, 1000) ?? K,
    radius: whole(asked.get("radius"), 0, 1e5),
    rerank: asked.get("rerank") === "1",
    where: whereOf(asked.get("where")),
    view: VIEWS.includes(asked.get("view")) ? asked.get("view") : "results",
    other: asked.get("with"),
  };
}

/** Write the address of a state. */
export function write(state) {
  const asked = new URLSearchParams();
  for (const [name, value] of Object.entries(state.query ?? {})) {
    if (value) asked.set(name, value);
  }
  if (state.k !== K) asked.set("k", state.k);
  if (state.radius !== null) asked.set("radius", state.radius);
  if (state.rerank) asked.set("rerank", "1");
  if (Object.keys(state.where).length) asked.set("where", JSON.stringify(state.where));
  if (state.view !== "results") asked.set("view", state.view);
  if (state.other) asked.set("with", state.other);
  return `?${asked}`;
}

/** A query is {key}, {text}, {code}, or {image, code}: what names a picture, and its code. */
function queryOf(asked) {
  for (const name of ["key", "text", "image", "code"]) {
    if (!asked.get(name)) continue;
    const query = { [name]: asked.get(name) };
    if (name === "image" && asked.get("code")) query.code = asked.get("code");
    return query;
  }
  return null;
}

function whole(text, least, most) {
  if (text === null || !/^\d{1,6}$/.test(text)) return null;
  return Math.min(most, Math.max(least, Number(text)));
}

function whereOf(text) {
  try {
    const where = JSON.parse(text ?? "{}");
    return where !== null && typeof where === "object" && !Array.isArray(where) ? where : {};
  } catch {
    return {};
  }
}
