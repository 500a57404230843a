// One card a node. A card is made once and then only written to, so that a button keeps
// the focus and a figure its selection while states come in.

import { act, once } from "./actions.js";
import { bytes, count, digits, html, mark, plural, rate, reveal, write } from "./dom.js";

const SAMPLES = 60;
const COLOURS = 8; // --node-0 … --node-7 of the style sheet

/** colour names the style of a node by its place among the nodes. */
export function colour(place) {
  return `owner-${place % COLOURS}`;
}

export class Nodes {
  /** onPoint is called with the id of the node pointed at or focused, or with "". */
  constructor(root, template, onPoint) {
    this.root = root;
    this.template = template;
    this.onPoint = onPoint;
    this.cards = new Map();
  }

  draw(state) {
    const nodes = state.nodes ?? [];
    const known = new Set(nodes.map((node) => node.id));
    for (const [id, card] of this.cards) {
      if (known.has(id)) continue;
      card.root.remove();
      this.cards.delete(id);
    }
    nodes.forEach((node, place) => {
      let card = this.cards.get(node.id);
      if (!card) {
        card = new Card(this.template, node.id, this.onPoint);
        this.cards.set(node.id, card);
      }
      if (this.root.children[place] !== card.root) this.root.insertBefore(card.root, this.root.children[place] ?? null);
      card.draw(node, place);
    });
    // One scale for all: the sparklines are there to be compared.
    const peak = Math.max(1, ...[...this.cards.values()].flatMap((card) => card.samples));
    for (const card of this.cards.values()) card.spark(peak);
  }

  /** highlight marks the owners of a partition, in their order; none ends it. */
  highlight(owners) {
    for (const [id, card] of this.cards) {
      const rank = owners.indexOf(id);
      card.root.classList.toggle("owner", rank >= 0);
      write(card.field("rank"), rank < 0 ? "" : `owner ${rank + 1}`);
    }
  }
}

class Card {
  constructor(template, id, onPoint) {
    this.root = template.content.cloneNode(true).firstElementChild;
    this.id = id;
    this.health = "";
    this.samples = [];
    this.fields = new Map([...this.root.querySelectorAll("[data-field]")].map((e) => [e.dataset.field, e]));
    this.power = this.root.querySelector("[data-do=power]");
    this.link = this.root.querySelector("[data-do=link]");
    this.root.dataset.node = id;

    this.power.addEventListener("click", () => this.press(this.power, this.health === "down" ? "start" : "kill"));
    this.link.addEventListener("click", () => this.press(this.link, this.health === "cut" ? "heal" : "cut"));
    for (const kind of ["mouseenter", "focusin"]) this.root.addEventListener(kind, () => onPoint(id));
    for (const kind of ["mouseleave", "focusout"]) this.root.addEventListener(kind, () => onPoint(""));
  }

  field(name) {
    return this.fields.get(name);
  }

  press(button, name) {
    return once(button, async () => {
      reveal(this.field("refused"), await act(name, name === "heal" ? {} : { node: this.id }));
    });
  }

  draw(node, place) {
    this.health = node.state;
    this.root.dataset.state = node.state;
    mark(this.root, "aria-label", `Node ${node.id}, ${node.state}`);
    mark(this.root.querySelector(".swatch"), "class", `swatch ${colour(place)}`);
    mark(this.root.querySelector("use"), "href", `#icon-${node.state}`);
    write(this.field("id"), node.id);
    write(this.field("state"), node.state);
    reveal(this.field("error"), node.error);

    write(this.field("rate"), rate(node.rate));
    write(this.field("keys"), `${count(node.keys)} · ${count(node.tombstones)}`);
    write(this.field("space"), `${bytes(node.bytes)} · ${bytes(node.disk)}`);
    write(this.field("latency"), node.rate > 0 ? `${digits(node.p50)} · ${digits(node.p99)} ms` : "–");
    write(this.field("requests"), node.failed > 0 ? `${count(node.requests)} · ${count(node.failed)} failed` : count(node.requests));
    this.field("requests").classList.toggle("bad", node.failed > 0);
    write(this.field("hints"), hints(node));
    write(this.field("traffic"), `${bytes(node.repairSent)} · ${bytes(node.repairReceived)}`);
    write(this.field("repaired"), `${count(node.repaired)} + ${count(node.readRepairs)} by reads`);
    this.drawPeers(node);
    write(this.field("where"), `http ${node.http || "–"}\nredis ${node.redis || "–"}\npeers ${node.addr || "–"}`);

    const down = node.state === "down";
    const cut = node.state === "cut";
    label(this.power, down ? "Start" : "Kill", `${down ? "Start" : "Kill"} ${node.id}`, true);
    label(this.link, cut ? "Heal" : "Cut off", cut ? "Heal every cut of the cluster" : `Cut ${node.id} off from the others`, !down);

    this.samples.push(node.rate);
    if (this.samples.length > SAMPLES) this.samples.shift();
  }

  /** drawPeers says whom the node sees up, in words and signs. */
  drawPeers(node) {
    const down = node.state === "down"; // then it sees nobody, whatever it saw last
    const peers = Object.entries((!down && node.peers) || {}).sort(([a], [b]) => a.localeCompare(b, "en", { numeric: true }));
    const key = JSON.stringify([down, peers]);
    if (key === this.peersDrawn) return;
    this.peersDrawn = key;
    const root = this.field("peers");
    if (peers.length === 0) {
      root.replaceChildren(down ? "sees nobody" : "no peers");
      return;
    }
    root.replaceChildren(
      "sees ",
      ...peers.flatMap(([id, seen]) => [
        html("span", { class: seen ? "peer" : "peer unseen", title: `${id} is ${seen ? "seen up" : "not seen"}` },
          html("span", { "aria-hidden": "true" }, seen ? "✓ " : "✕ "), id,
          html("span", { class: "unspoken" }, seen ? " up" : " not")),
        " ",
      ]),
    );
  }

  spark(peak) {
    const high = 28;
    // New samples come in at the right end, so that a short history does not stretch.
    const points = this.samples.map((n, i) => {
      const x = (SAMPLES - this.samples.length + i) * 2;
      return `${x} ${(29 - (n / peak) * high).toFixed(1)}`;
    });
    const picture = this.root.querySelector(".spark");
    const first = (SAMPLES - this.samples.length) * 2;
    picture.querySelector(".line").setAttribute("d", `M${points.join("L")}`);
    picture.querySelector(".area").setAttribute("d", `M${first} 30L${points.join("L")}L118 30z`);
    mark(picture, "aria-label", `requests per second, the last ${plural(this.samples.length, "sample")}, highest ${rate(Math.max(...this.samples))}`);
  }
}

/** hints writes how many writes wait here, and for whom most do. */
function hints(node) {
  const waiting = Object.entries(node.hintsFor ?? {}).filter(([, n]) => n > 0).sort(([, a], [, b]) => b - a);
  if (waiting.length === 0) return count(node.hints);
  const most = waiting.slice(0, 3).map(([id, n]) => `${count(n)} for ${id}`).join(" · ");
  return waiting.length > 3 ? `${count(node.hints)}: ${most} …` : most;
}

/** label names a button and says what pressing it would do, if anything. */
function label(button, text, title, on) {
  write(button, text);
  mark(button, "title", title);
  mark(button, "aria-label", title);
  mark(button, "aria-disabled", String(!on));
}
