// Clocks, ids and marks: a lane for each node, on one axis of time around now. The axis is
// nearly linear within 20 milliseconds and logarithmic beyond, so that a mark one second
// ahead and a clock one hour behind fit into one picture.

import { colour, html, mark, sync } from "./dash/elements.js";
import { span } from "./span.js";

const LINEAR = 20; // ms
const EDGE = 4 * 3_600_000; // ms: what is further away is drawn at the edge
const TICKS = [[-3_600_000, "−1 h"], [-60_000, "−1 min"], [-1000, "−1 s"], [0, "now"], [1000, "+1 s"], [60_000, "+1 min"], [3_600_000, "+1 h"]];

/** place is where a time is on the axis, from 0 to 100. */
export function place(ms) {
  const bend = (size) => Math.log1p(Math.min(size, EDGE) / LINEAR);
  return 50 + (50 * Math.sign(ms) * bend(Math.abs(ms))) / bend(EDGE);
}

export class Lanes {
  constructor(root, axis) {
    this.root = root;
    this.lanes = new Map();
    for (const [ms, text] of TICKS) {
      const tick = html("span", ms === 0 ? { class: "now" } : {}, text);
      tick.style.left = `${place(ms)}%`;
      axis.append(tick);
    }
  }

  draw(state) {
    const nodes = state.nodes ?? [];
    sync(this.lanes, this.root, nodes, (node) => node.id, (node) => new Lane(node.id));
    nodes.forEach((node, i) => this.lanes.get(node.id).draw(node, i));
  }
}

class Lane {
  constructor(id) {
    const part = (name) => html("span", { class: name, "aria-hidden": "true" });
    this.clock = part("clock");
    this.last = part("last");
    this.band = part("band");
    this.track = html("div", { class: "track", role: "img" });
    for (const [ms] of TICKS) {
      const line = part(ms === 0 ? "line now" : "line");
      line.style.left = `${place(ms)}%`;
      this.track.append(line);
    }
    this.track.append(this.band, this.clock, this.last);
    this.root = html("li", {}, html("span", { class: "name" }, id), this.track);
    this.root.dataset.node = id;
  }

  draw(node, i) {
    mark(this.root, "class", `lane ${colour(i)}`);
    mark(this.root, "data-state", node.state);
    this.clock.style.left = `${place(node.clockAt)}%`;
    this.last.hidden = !node.hasLast;
    this.last.style.left = `${place(node.lastAt)}%`;
    this.band.hidden = !node.hasMark;
    const from = place(node.hasLast ? node.lastAt : node.clockAt);
    this.band.style.left = `${from}%`;
    this.band.style.width = `${Math.max(0, place(node.markAt) - from)}%`;
    const parts = [`clock ${span(node.clockAt)}`];
    if (node.hasLast) parts.push(`last id ${span(node.lastAt)}`);
    if (node.hasMark) parts.push(`mark ${span(node.markAt)}`);
    const text = parts.join(", ");
    mark(this.track, "aria-label", text);
    mark(this.track, "title", text);
  }
}
