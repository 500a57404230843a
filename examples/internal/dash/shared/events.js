// The log of events, newest first.

import { html } from "./elements.js";
import { clock } from "./figures.js";

export class Events {
  /** who tells whom an event is about, empty if nobody. */
  constructor(root, who) {
    this.root = root;
    this.who = who;
    this.lines = new Map(); // by what the event is; in order of arrival
  }

  draw(state) {
    const events = state.events ?? [];
    const keys = events.map((event) => JSON.stringify([event.at, this.who(event), event.kind, event.text]));
    const current = new Set(keys);
    for (const [key, line] of this.lines) {
      if (current.has(key)) continue;
      line.remove();
      this.lines.delete(key);
    }
    events.forEach((event, i) => {
      if (this.lines.has(keys[i])) return;
      const who = this.who(event);
      const line = html("li", {},
        html("time", { datetime: event.at }, clock(event.at)),
        html("span", { class: "kind" }, event.kind),
        html("span", { class: "text" }, who ? html("b", {}, who) : "", who ? " " : "", event.text));
      this.lines.set(keys[i], line);
      this.root.prepend(line);
    });
    // What was there before the page is read when the reader goes there; only what comes
    // from now on is spoken.
    if (this.root.getAttribute("aria-live") === "off") setTimeout(() => this.root.setAttribute("aria-live", "polite"));
  }
}
