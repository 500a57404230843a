// The search box: a combobox with a list, as the ARIA authoring practices describe it. The
// focus stays in the field; the option that Enter would pick is its active descendant.

import { html, reveal, write } from "./dash/elements.js";
import { count } from "./dash/figures.js";

const PAUSE = 60; // ms without a key until the service is asked
const FRESH = 1000; // ms that an answer is shown again without asking
const KEPT = 200; // answers
const LIMIT = 8;

export class Search {
  constructor(form, list, said, problem) {
    this.form = form;
    this.list = list;
    this.said = said;
    this.problem = problem;
    this.field = form.elements.namedItem("query");
    this.user = form.elements.namedItem("user");
    this.typed = ""; // by the user: what the field shows may be a suggestion
    this.shown = []; // suggestions in the list
    this.active = -1; // which of them Enter would pick
    this.timer = 0;
    this.asking = null; // AbortController of the question under way
    this.cache = new Map(); // answers by what was asked
    this.field.addEventListener("input", (ev) => this.input(ev));
    this.field.addEventListener("keydown", (ev) => this.key(ev));
    this.field.addEventListener("focus", () => this.field.value !== "" && this.soon());
    this.field.addEventListener("blur", () => this.close());
    form.addEventListener("submit", (ev) => {
      ev.preventDefault();
      this.choose(this.field.value, this.active >= 0);
    });
    // The list must not take the focus from the field: that would close it before the click.
    list.addEventListener("pointerdown", (ev) => ev.preventDefault());
    list.addEventListener("click", (ev) => {
      const option = ev.target.closest("[role=option]");
      if (option) this.choose(this.shown[Number(option.dataset.index)].query, true);
    });
  }

  input(ev) {
    this.typed = this.field.value;
    if (!ev.isComposing) this.soon();
  }

  key(ev) {
    if (ev.isComposing) return;
    switch (ev.key) {
      case "ArrowDown":
      case "ArrowUp":
        ev.preventDefault();
        if (this.list.hidden) return this.soon(0);
        return this.move(ev.key === "ArrowDown" ? 1 : -1);
      case "Escape":
        ev.preventDefault();
        if (this.list.hidden) this.typed = "";
        this.field.value = this.typed;
        return this.close();
    }
  }

  /** move goes through the options, and through what was typed between the last and the first. */
  move(step) {
    const places = this.shown.length + 1;
    this.select(((this.active + 1 + step + places) % places) - 1);
    this.field.value = this.active < 0 ? this.typed : this.shown[this.active].query;
  }

  select(active) {
    this.active = active;
    [...this.list.children].forEach((option, i) => option.setAttribute("aria-selected", String(i === active)));
    if (active < 0) this.field.removeAttribute("aria-activedescendant");
    else this.field.setAttribute("aria-activedescendant", this.list.children[active].id);
  }

  /** soon asks after a pause, unless another key comes first; what was asked before is called off. */
  soon(pause = PAUSE) {
    clearTimeout(this.timer);
    this.asking?.abort();
    this.asking = null;
    this.timer = setTimeout(() => this.ask(), pause);
  }

  async ask() {
    const prefix = this.typed;
    if (prefix === "") return this.close();
    const key = JSON.stringify([prefix, this.user.value]);
    const known = this.cache.get(key);
    if (known && performance.now() - known.at < FRESH) return this.draw(prefix, known.answer, 0);
    const asking = new AbortController();
    this.asking = asking;
    const begun = performance.now();
    try {
      const query = new URLSearchParams({ prefix, limit: LIMIT });
      if (this.user.value !== "") query.set("user", this.user.value);
      const reply = await fetch(`api/v1/suggestions?${query}`, { signal: asking.signal });
      const answer = await reply.json();
      if (this.asking !== asking) return; // something else is asked for by now
      if (!reply.ok) return this.fail(answer.error);
      this.keep(key, answer);
      this.draw(prefix, answer, performance.now() - begun);
    } catch (err) {
      if (this.asking === asking && err.name !== "AbortError") this.fail("no answer: is the service still running?");
    }
  }

  keep(key, answer) {
    this.cache.delete(key);
    this.cache.set(key, { answer, at: performance.now() });
    if (this.cache.size > KEPT) this.cache.delete(this.cache.keys().next().value);
  }

  fail(why) {
    reveal(this.problem, why);
    this.close();
  }

  draw(prefix, answer, took) {
    reveal(this.problem, "");
    this.shown = answer.suggestions ?? [];
    this.list.replaceChildren(...this.shown.map((suggestion, i) => this.option(prefix, suggestion, i)));
    const open = this.shown.length > 0 && document.activeElement === this.field;
    this.list.hidden = !open;
    this.field.setAttribute("aria-expanded", String(open));
    this.select(-1);
    const near = this.shown[0]?.edits > 0 ? " close to it" : "";
    const poor = answer.degraded ? "; nodes are away, there may be better ones" : "";
    const after = took > 0 ? `, after ${took.toFixed(1)} ms` : ", remembered";
    write(this.said, `${this.shown.length === 1 ? "1 suggestion" : `${this.shown.length} suggestions`}${near}${after}${poor}`);
  }

  option(prefix, suggestion, i) {
    const text = html("span", { class: "text" });
    const length = matched(suggestion.query, prefix);
    if (length > 0) text.append(html("mark", {}, suggestion.query.slice(0, length)));
    text.append(suggestion.query.slice(length));
    return html("li", { role: "option", id: `option-${i}`, "data-index": i, "aria-selected": "false" },
      text, html("span", { class: "score", "aria-hidden": "true" }, figure(suggestion.frequency)));
  }

  close() {
    clearTimeout(this.timer);
    this.asking?.abort();
    this.asking = null;
    this.list.hidden = true;
    this.field.setAttribute("aria-expanded", "false");
    this.select(-1);
  }

  async choose(query, picked) {
    query = query.trim();
    this.close();
    if (query === "") return;
    this.field.value = this.typed = query;
    this.cache.clear();
    try {
      const reply = await fetch("api/v1/searches", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ query, picked, user: this.user.value }),
      });
      if (!reply.ok) return reveal(this.problem, (await reply.json()).error);
      reveal(this.problem, "");
      write(this.said, `Searched for “${query}”, and counted.`);
    } catch {
      reveal(this.problem, "no answer: is the service still running?");
    }
  }
}

/** figure writes a score: a share of one where a user's own is mixed in, else a count. */
function figure(score) {
  return score > 0 && score < 10 ? score.toFixed(2) : count(score);
}

/**
 * matched is how much of a suggestion is what was typed, whatever the case; 0 if it was
 * found in spite of an error.
 */
function matched(text, prefix) {
  return text.slice(0, prefix.length).toLowerCase() === prefix.toLowerCase() ? prefix.length : 0;
}
