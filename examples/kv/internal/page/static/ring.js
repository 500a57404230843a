// The ring: its partitions as arcs, the nodes around it.
//
// The arcs are a listbox with a single tab stop: the arrow keys move on the ring. A
// pointed or focused partition shows its owners, a pointed node its partitions.

import { colour, mark, svg, write } from "./dash/elements.js";
import { plural } from "./dash/figures.js";

const OUTER = 134;
const INNER = 106;
const GAUGE = 100; // radius of the marks for missing owners
const STATIONS = 170; // radius on which the nodes stand

export class Ring {
  /** onOwners is called with the owners of the partition shown, first owner first; or with none. */
  constructor(root, onOwners) {
    this.arcs = root.querySelector("#arcs");
    this.stations = root.querySelector("#stations");
    [this.head, ...this.lines] = root.querySelectorAll("#hub text");
    this.onOwners = onOwners;
    this.partitions = [];
    this.nodes = [];
    this.shown = -1; // index of the partition shown
    this.pointed = ""; // id of the node shown
    this.arcs.addEventListener("mouseover", (ev) => this.show(this.indexOf(ev.target)));
    this.arcs.addEventListener("focusin", (ev) => this.show(this.indexOf(ev.target)));
    for (const kind of ["mouseleave", "focusout"]) {
      this.arcs.addEventListener(kind, () => this.show(this.indexOf(document.activeElement)));
    }
    this.arcs.addEventListener("keydown", (ev) => this.move(ev));
  }

  draw(state) {
    this.nodes = state.nodes ?? [];
    this.partitions = state.partitions ?? [];
    // Nodes keep their places, so the shape changes only with the table or the members.
    const shape = JSON.stringify([this.partitions, this.nodes.map((node) => node.id)]);
    if (shape !== this.shape) {
      this.shape = shape;
      this.build();
    }
    this.up = new Set(this.nodes.filter((node) => node.state === "up").map((node) => node.id));
    this.nodes.forEach((node, i) => {
      const station = this.stations.children[i];
      mark(station, "data-state", node.state);
      mark(station.querySelector("use"), "href", `#icon-${node.state}`);
    });
    this.partitions.forEach((partition, i) => this.refresh(partition, this.arcs.children[i]));
    this.tell();
  }

  build() {
    const focused = this.indexOf(document.activeElement);
    const places = new Map(this.nodes.map((node, i) => [node.id, i]));
    const turn = (2 * Math.PI) / Math.max(1, this.partitions.length);
    const gap = Math.min(0.008, turn / 8);
    this.arcs.replaceChildren(...this.partitions.map((partition, i) => {
      const from = i * turn + gap;
      const to = (i + 1) * turn - gap;
      const place = places.get(partition.owners?.[0]);
      return svg("g", { role: "option", tabindex: "-1", "data-index": i, class: place === undefined ? "arc" : `arc ${colour(place)}` },
        svg("path", { class: "slice", d: band(INNER, OUTER, from, to) }),
        svg("path", { class: "gauge", d: band(GAUGE - 3, GAUGE, from, to) }));
    }));
    this.stations.replaceChildren(...this.nodes.map((node, i) => {
      const angle = (i * 2 * Math.PI) / this.nodes.length;
      const [x, y] = at(STATIONS, angle);
      return svg("g", { class: `station ${colour(i)}`, transform: `translate(${x} ${y})` },
        svg("circle", { class: "halo", r: 14 }),
        svg("use", { class: "icon", x: -10, y: -10, width: 20, height: 20 }),
        svg("text", { y: y < -STATIONS / 2 ? -19 : 29 }, node.id));
    }));
    this.shown = Math.min(this.shown, this.partitions.length - 1);
    this.arcs.children[Math.max(0, focused)]?.setAttribute("tabindex", "0");
    if (focused >= 0) this.arcs.children[focused]?.focus();
  }

  /** refresh writes which owners of a partition are missing. */
  refresh(partition, arc) {
    const owners = partition.owners ?? [];
    const up = owners.filter((id) => this.up.has(id)).length;
    mark(arc, "data-owners", up === owners.length ? "all" : up > owners.length / 2 ? "most" : "few");
    mark(arc, "aria-label", `Partition ${partition.id}: ${owners.join(", ") || "no owner"}; ${up} of ${owners.length} up`);
    const here = this.indexOf(arc) === this.shown;
    mark(arc, "aria-selected", String(here));
    const rank = this.pointed ? owners.indexOf(this.pointed) : -1;
    arc.classList.toggle("shown", here || rank === 0);
    arc.classList.toggle("replica", rank > 0);
    arc.classList.toggle("dim", this.pointed ? rank < 0 : this.shown >= 0 && !here);
  }

  indexOf(element) {
    const arc = element?.closest?.("#arcs [data-index]");
    return arc ? Number(arc.dataset.index) : -1;
  }

  /** show shows the owners of one partition; -1: of none. */
  show(index) {
    if (index === this.shown) return;
    this.shown = index;
    this.partitions.forEach((partition, i) => this.refresh(partition, this.arcs.children[i]));
    this.tell();
    this.onOwners(this.partitions[index]?.owners ?? []);
  }

  /** point shows the partitions of one node; "": of none. */
  point(id) {
    if (id === this.pointed) return;
    this.pointed = id;
    this.partitions.forEach((partition, i) => this.refresh(partition, this.arcs.children[i]));
    this.tell();
  }

  move(ev) {
    const last = this.partitions.length - 1;
    const from = this.indexOf(ev.target);
    const to = {
      ArrowRight: from === last ? 0 : from + 1, ArrowDown: from === last ? 0 : from + 1,
      ArrowLeft: from <= 0 ? last : from - 1, ArrowUp: from <= 0 ? last : from - 1,
      Home: 0, End: last,
    }[ev.key];
    if (to === undefined) return;
    ev.preventDefault();
    this.arcs.children[from]?.setAttribute("tabindex", "-1");
    this.arcs.children[to].setAttribute("tabindex", "0");
    this.arcs.children[to].focus();
  }

  /** tell writes the middle of the ring, and the owners' ranks at the nodes. */
  tell() {
    const owners = this.partitions[this.shown]?.owners ?? [];
    this.nodes.forEach((node, i) => {
      const rank = owners.indexOf(node.id);
      const station = this.stations.children[i];
      station.classList.toggle("shown", rank >= 0 || node.id === this.pointed);
      station.classList.toggle("dim", this.pointed ? node.id !== this.pointed : this.shown >= 0 && rank < 0);
    });
    const [head, first, second] = this.words(owners);
    write(this.head, head);
    write(this.lines[0], first);
    write(this.lines[1], second);
  }

  words(owners) {
    const all = this.partitions.length;
    if (this.pointed) {
      const ranks = this.partitions.map((partition) => (partition.owners ?? []).indexOf(this.pointed));
      return [this.pointed, `first owner of ${ranks.filter((n) => n === 0).length}`, `replica of ${ranks.filter((n) => n > 0).length}`];
    }
    if (this.shown >= 0) {
      const up = owners.filter((id) => this.up.has(id)).length;
      return [`Partition ${this.partitions[this.shown].id}`, owners.join(" · ") || "no owner", `${up} of ${owners.length} up`];
    }
    const short = this.partitions.filter((partition) => (partition.owners ?? []).some((id) => !this.up.has(id))).length;
    return [`${this.up.size} of ${this.nodes.length} up`, plural(all, "partition"), short === 0 ? "every owner there" : `${short} short of an owner`];
  }
}

/** at is the point of a circle around the middle; the angle is clockwise from the top. */
function at(radius, angle) {
  return [(radius * Math.sin(angle)).toFixed(2), (-radius * Math.cos(angle)).toFixed(2)];
}

/** band is the outline of a slice of a ring. */
function band(inner, outer, from, to) {
  const large = to - from > Math.PI ? 1 : 0;
  const [a, b, c, d] = [at(outer, from), at(outer, to), at(inner, to), at(inner, from)];
  return `M${a}A${outer} ${outer} 0 ${large} 1 ${b}L${c}A${inner} ${inner} 0 ${large} 0 ${d}z`;
}
