// A column: one collection, and what it shows of the present state. Comparing has two of them.

import { addressOf, ask, Problem } from "./api.js";
import { showBucket } from "./bucket.js";
import { count, counted, make } from "./elements.js";
import { card, cards, codeOf } from "./items.js";
import { showMap } from "./map.js";
import { note, problem, waiting } from "./notes.js";
import { base64Of, pictureOf } from "./pictures.js";

const PAGE = 60; // items at once when browsing

export class Column {
  /** `page` has change(patch), addressWith(patch) and retry(). */
  constructor(about, element, page) {
    this.about = about;
    this.page = page;
    this.element = element;
    this.content = element.querySelector(".content");
    this.status = element.querySelector(".status");
    this.found = null;
  }

  /** Show a state; give what a search found, or null. */
  async show(state, signal) {
    const dim = setTimeout(() => this.element.setAttribute("aria-busy", "true"), 150);
    if (!this.content.hasChildNodes()) this.content.append(waiting(this.about.kind));
    this.found = null;
    try {
      const shown = await this.parts(state, signal);
      signal.throwIfAborted();
      this.status.textContent = shown.status;
      this.content.replaceChildren(...shown.parts);
      shown.after?.();
    } catch (error) {
      if (error.name === "AbortError") return null;
      if (!(error instanceof Problem)) console.error(error);
      this.status.textContent = "";
      this.content.replaceChildren(
        problem(error, () => this.page.retry(), () => this.page.change({ query: null })),
      );
      if (error.status === 0) this.page.waitForServer();
    } finally {
      clearTimeout(dim);
      if (!signal.aborted) this.element.removeAttribute("aria-busy");
    }
    return this.found;
  }

  parts(state, signal) {
    if (state.view === "map") return showMap(this, state, signal);
    if (state.view === "bucket") return showBucket(this, state, signal);
    return state.query ? this.hits(state, signal) : this.browse(state, signal);
  }

  /** Search by the query of a state. */
  async search(state, signal, also = {}) {
    const body = { ...this.bodyOf(state), k: state.k, ...also };
    if (state.radius !== null && !("radius" in also)) body.radius = state.radius;
    if (Object.keys(state.where).length && !("where" in also)) body.where = state.where;
    if (state.rerank && !body.code && !("rerank" in also)) body.rerank = true;
    this.found = await ask(`${addressOf(this.about.name)}/search`, { signal, body });
    return this.found;
  }

  bodyOf({ query }) {
    if (query.key) return { key: query.key };
    if (query.text) return { text: query.text };
    if (query.image) {
      const data = pictureOf(query.image);
      if (data) return { image: base64Of(data) };
      if (!query.code || !this.page.isFirst(this)) {
        throw new Problem("The picture is not on this device any more. Choose it again.", 404);
      }
    }
    if (!this.page.isFirst(this)) {
      throw new Problem("A code of one collection says nothing in another. Search by an item instead.", 404);
    }
    return { code: query.code };
  }

  linkTo(item) {
    return this.page.addressWith({ query: { key: item.key } });
  }

  async hits(state, signal) {
    const [found, label] = await Promise.all([this.search(state, signal), this.page.labelOf(state, this)]);
    if (!found.hits.length) return { status: "Nothing found", parts: [this.nothing(state)] };
    const marks = (item) => (label !== null && item.label === label ? [["✓", "same label as the query"]] : []);
    const list = cards(this.about, found.hits, (item) => this.linkTo(item), marks);
    const own = this.page.isComparing ? [codeOf(this.about, found.code)] : [];
    return { status: this.summary(found), parts: [...own, list] };
  }

  summary({ hits, index_seconds: seconds }) {
    const distances = hits.map((hit) => hit.distance);
    const [least, most] = [Math.min(...distances), Math.max(...distances)];
    const far = least === most ? counted(least, "bit") : `${least} to ${most} bits`;
    const time = (1e3 * seconds).toFixed(seconds < 0.01 ? 2 : 0);
    return `${count(hits.length)} nearest of ${count(this.about.n_items)}, ${far} away · searched in ${time} ms`;
  }

  nothing(state) {
    const isFiltered = Object.keys(state.where).length > 0;
    const actions = [];
    if (isFiltered) actions.push(["Clear the filters", () => this.page.change({ where: {} })]);
    if (state.query && state.radius !== null) {
      actions.push(["Allow any distance", () => this.page.change({ radius: null })]);
    }
    if (state.query && state.radius !== null) {
      const within = counted(state.radius, "bit");
      return note("Nothing so near", `No ${isFiltered ? "filtered " : ""}item lies within ${within} of the query.`, actions);
    }
    if (isFiltered) return note("Nothing matches", "No item fulfils all filters.", actions);
    return note("Nothing here yet", "The collection has no items.");
  }

  async browse(state, signal) {
    const { items, next } = await this.list(state, null, signal);
    if (!items.length) return { status: "Nothing found", parts: [this.nothing(state)] };
    const make_ = (item) => card(this.about, item, this.linkTo(item));
    const list = make("ul", { class: `cards ${this.about.kind}` }, items.map(make_));
    const isFiltered = Object.keys(state.where).length > 0;
    const status = isFiltered ? "Items that fulfil the filters" : `All ${counted(this.about.n_items, "item")}`;
    return { status, parts: [list, this.more(state, list, make_, next, signal)] };
  }

  list(state, after, signal) {
    const asked = new URLSearchParams({ n: PAGE });
    if (after) asked.set("after", after);
    if (Object.keys(state.where).length) asked.set("where", JSON.stringify(state.where));
    return ask(`${addressOf(this.about.name)}/items?${asked}`, { signal });
  }

  /** A button for more items, which presses itself when it comes into sight. */
  more(state, list, make_, first, signal) {
    let next = first;
    const button = make("button", { type: "button", class: "more-items", hidden: !next }, "Show more");
    const load = async () => {
      if (!next || button.disabled) return;
      button.disabled = true;
      try {
        const page = await this.list(state, next, signal);
        list.append(...page.items.map(make_));
        next = page.next;
      } catch (error) {
        if (error.name === "AbortError") return;
        button.textContent = `${error.message} Try again`;
      }
      button.disabled = false;
      button.hidden = !next;
    };
    button.addEventListener("click", load);
    const watch = new IntersectionObserver((seen) => seen[0].isIntersecting && load(), { rootMargin: "600px" });
    watch.observe(button);
    signal.addEventListener("abort", () => watch.disconnect());
    return button;
  }
}
