// The log of events, newest first.

import { clock, html } from "./dom.js";

export class Events {
  constructor(root) {
    this.root = root;
    this.lines = new Map(); // by what the event is; in order of arrival
  }

  draw(state) {
    const events = state.events ?? [];
    const keys = events.map((event) => JSON.stringify([event.at, event.node, event.kind, event.text]));
    const current = new Set(keys);
    for (const [key, line] of this.lines) {
      if (current.has(key)) continue;
      line.remove();
      this.lines.delete(key);
    }
    events.forEach((event, i) => {
      if (this.lines.has(keys[i])) return;
      const line = html("li", {},
        html("time", { datetime: event.at }, clock(event.at)),
        html("span", { class: "kind" }, event.kind),
        html("span", { class: "text" }, event.node ? html("b", {}, event.node) : "", event.node ? " " : "", event.text));
      this.lines.set(keys[i], line);
      this.root.prepend(line);
    });
    // What was there before the page is read when the reader goes there; only what
    // comes from now on is spoken.
    if (this.root.getAttribute("aria-live") === "off") setTimeout(() => this.root.setAttribute("aria-live", "polite"));
  }
}
