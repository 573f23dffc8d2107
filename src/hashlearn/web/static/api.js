// Requests to the server.

/** What went wrong, in a sentence for people. A status of 0: the server did not answer. */
export class Problem extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

export const addressOf = (name) => `/api/v1/collections/${encodeURIComponent(name)}`;

export const contentOf = (name, key) => `${addressOf(name)}/content?small=1&key=${encodeURIComponent(key)}`;

/** Ask the server; give its answer. Throws a Problem, or AbortError when it was called off. */
export async function ask(address, { signal, body } = {}) {
  const options = { signal, headers: { Accept: "application/json" } };
  if (body !== undefined) {
    options.method = "POST";
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  const response = await answerOf(address, options);
  if (response.ok) return response.json();
  throw new Problem(await sentenceOf(response), response.status);
}

/** Read the text of an item. */
export async function textOf(name, key, signal) {
  const response = await answerOf(contentOf(name, key), { signal });
  return response.ok ? response.text() : "";
}

async function answerOf(address, options) {
  let response;
  try {
    response = await fetch(address, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("The server does not answer.", 0);
  }
  if (response.status === 401) {
    const here = location.pathname + location.search;
    location.assign(`/login?next=${encodeURIComponent(here)}`);
  }
  return response;
}

async function sentenceOf(response) {
  try {
    const { detail } = await response.json();
    if (typeof detail === "string") return detail.charAt(0).toUpperCase() + detail.slice(1);
  } catch {
    // not from our server: a proxy's page
  }
  if (response.status === 413) return "This is larger than the server takes.";
  return `The server answered ${response.status}.`;
}
