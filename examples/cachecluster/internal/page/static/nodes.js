// One card a node. A card is made once and then only written to, so that a button keeps
// the focus and a figure its selection while states come in.

import { act, once } from "./actions.js";
import { bytes, colour, count, mark, percent, rate, reveal, write } from "./dom.js";

const SAMPLES = 60;

export class Nodes {
  constructor(root, template) {
    this.root = root;
    this.template = template;
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
        card = new Card(this.template, node.id);
        this.cards.set(node.id, card);
      }
      if (this.root.children[place] !== card.root) this.root.insertBefore(card.root, this.root.children[place] ?? null);
      card.draw(node, state.acts);
    });
    // One scale for all: the sparklines are there to be compared.
    const peak = Math.max(1, ...[...this.cards.values()].flatMap((card) => card.samples));
    for (const card of this.cards.values()) card.spark(peak);
  }
}

class Card {
  constructor(template, id) {
    this.root = template.content.cloneNode(true).firstElementChild;
    this.id = id;
    this.health = "";
    this.samples = [];
    this.fields = new Map([...this.root.querySelectorAll("[data-field]")].map((e) => [e.dataset.field, e]));
    this.buttons = new Map([...this.root.querySelectorAll("[data-do]")].map((e) => [e.dataset.do, e]));
    this.root.dataset.node = id;
    this.does("power", () => (this.health === "down" ? "start" : "kill"));
    this.does("move", () => "move");
  }

  /** does makes a button post what work says. */
  does(name, work) {
    const button = this.buttons.get(name);
    button.addEventListener("click", () => once(button, async () => {
      reveal(this.field("refused"), await act(work(), { node: this.id }));
    }));
  }

  field(name) {
    return this.fields.get(name);
  }

  draw(node, acts) {
    this.health = node.state;
    this.root.dataset.state = node.state;
    mark(this.root, "aria-label", `Node ${node.id}, ${node.state}`);
    mark(this.root.querySelector(".swatch"), "class", `swatch ${colour(node.shard)}`);
    mark(this.root.querySelector("use"), "href", `#icon-${node.state}`);
    const leads = node.state === "serving" || node.state === "waiting";
    write(this.field("id"), node.id);
    write(this.field("state"), node.state);
    write(this.field("role"), leads ? `${count(node.slots)} slots` : node.primary ? `of ${node.primary}` : "");
    write(this.field("rate"), rate(node.rate));
    write(this.field("keys"), count(node.keys));
    write(this.field("memory"), node.max > 0 ? `${bytes(node.used)} of ${bytes(node.max)}, ${node.policy}` : bytes(node.used));
    write(this.field("ratio"), node.reads > 0 ? `${percent(node.hitRatio)} of ${count(node.reads)}` : "–");
    write(this.field("left"), `${count(node.evicted)} · ${count(node.expired)}`);
    write(this.field("lag"), leads ? `replica ${bytes(node.lag)}` : "–");
    write(this.field("clients"), count(node.clients));
    write(this.field("epoch"), leads ? count(node.epoch) : "–");
    write(this.field("where"), node.addr);

    const down = node.state === "down";
    this.field("buttons").hidden = !acts;
    this.label("power", down ? "Start" : "Kill", `${down ? "Start" : "Kill"} ${node.id}`, true);
    this.label("move", "Move 100 slots", `Move 100 slots from ${node.id} to the next shard`, node.state === "serving");

    this.samples.push(node.rate);
    if (this.samples.length > SAMPLES) this.samples.shift();
  }

  /** label names a button and says what pressing it would do, if anything. */
  label(name, text, title, on) {
    const button = this.buttons.get(name);
    write(button, text);
    mark(button, "title", title);
    mark(button, "aria-label", title);
    mark(button, "aria-disabled", String(!on));
  }

  spark(peak) {
    const high = 28;
    // New samples come in at the right end, so that a short history does not stretch.
    const first = (SAMPLES - this.samples.length) * 2;
    const points = this.samples.map((n, i) => `${first + i * 2} ${(29 - (n / peak) * high).toFixed(1)}`);
    const picture = this.root.querySelector(".spark");
    picture.querySelector(".line").setAttribute("d", `M${points.join("L")}`);
    picture.querySelector(".area").setAttribute("d", `M${first} 30L${points.join("L")}L118 30z`);
    mark(picture, "aria-label", `commands per second, the last ${this.samples.length}, highest ${rate(Math.max(...this.samples))}`);
  }
}
