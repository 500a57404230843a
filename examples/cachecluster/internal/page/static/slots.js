// Who owns which slots, and how policies compare.

import { colour, html, mark, write } from "./dash/elements.js";
import { count, percent } from "./dash/figures.js";

const ALL = 16384;

export class Slots {
  constructor(strip, owners) {
    this.strip = strip;
    this.owners = owners;
    this.drawn = "";
  }

  draw(state) {
    const runs = state.runs ?? [];
    const leads = new Map();
    for (const node of state.nodes ?? []) {
      if (node.state === "serving") leads.set(node.shard, node.id);
    }
    const now = JSON.stringify([runs, [...leads]]);
    if (now === this.drawn || runs.length === 0) return;
    this.drawn = now;
    const owned = new Map();
    this.strip.replaceChildren(...runs.map((run) => {
      const size = run.last - run.first + 1;
      owned.set(run.shard, (owned.get(run.shard) ?? 0) + size);
      const rect = document.createElementNS(this.strip.namespaceURI, "rect");
      for (const [name, value] of Object.entries({ x: run.first, y: 0, width: size, height: 10, class: colour(run.shard) })) rect.setAttribute(name, value);
      return rect;
    }));
    const shards = [...owned.keys()].sort((a, b) => a - b);
    mark(this.strip, "aria-label", shards.map((s) => `shard ${s + 1}: ${owned.get(s)} of ${ALL} slots`).join(", "));
    this.owners.replaceChildren(...shards.map((s) => html("li", {},
      html("span", { class: `swatch ${colour(s)}`, "aria-hidden": "true" }),
      `shard ${s + 1}, ${leads.has(s) ? `led by ${leads.get(s)}` : "not served"}`,
      html("span", { class: "count" }, count(owned.get(s))))));
  }
}

export class Bars {
  constructor(section, list) {
    this.section = section;
    this.list = list;
    this.lines = new Map();
  }

  draw(state) {
    const bars = state.bars ?? [];
    this.section.hidden = bars.length === 0;
    for (const bar of bars) {
      let line = this.lines.get(bar.name);
      if (!line) {
        line = html("li", bar.best ? { class: "best" } : {}, html("span", {}, bar.name), html("span", { class: "rail" }, html("span", { class: "fill" })), html("span", { class: "value" }));
        this.lines.set(bar.name, line);
        this.list.append(line);
      }
      line.querySelector(".fill").style.width = `${100 * bar.ratio}%`;
      write(line.querySelector(".value"), percent(bar.ratio));
    }
  }
}
