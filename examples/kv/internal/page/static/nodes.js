// One card a node. A card is made once and then only written to, so that a button keeps
// the focus and a figure its selection while states come in.

import { act, once } from "./dash/actions.js";
import { colour, fields, html, label, mark, reveal, sync, write } from "./dash/elements.js";
import { bytes, count, digits, rate } from "./dash/figures.js";
import { compare, Spark } from "./dash/spark.js";

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
    sync(this.cards, this.root, nodes, (node) => node.id, (node) => new Card(this.template, node.id, this.onPoint));
    nodes.forEach((node, place) => this.cards.get(node.id).draw(node, place));
    compare([...this.cards.values()].map((card) => card.spark));
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
    this.spark = new Spark(this.root.querySelector(".spark"), "requests per second");
    this.fields = fields(this.root);
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

    this.spark.add(node.rate);
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
}

/** hints writes how many writes wait here, and for whom most do. */
function hints(node) {
  const waiting = Object.entries(node.hintsFor ?? {}).filter(([, n]) => n > 0).sort(([, a], [, b]) => b - a);
  if (waiting.length === 0) return count(node.hints);
  const most = waiting.slice(0, 3).map(([id, n]) => `${count(n)} for ${id}`).join(" · ");
  return waiting.length > 3 ? `${count(node.hints)}: ${most} …` : most;
}
