// One card a node. A card is made once and then only written to, so that a button keeps
// the focus and a figure its selection while states come in.

import { act, once } from "./dash/actions.js";
import { colour, fields, label, mark, reveal, sync, write } from "./dash/elements.js";
import { bytes, count, percent, rate } from "./dash/figures.js";
import { compare, Spark } from "./dash/spark.js";

export class Nodes {
  constructor(root, template) {
    this.root = root;
    this.template = template;
    this.cards = new Map();
  }

  draw(state) {
    const nodes = state.nodes ?? [];
    sync(this.cards, this.root, nodes, (node) => node.id, (node) => new Card(this.template, node.id));
    for (const node of nodes) this.cards.get(node.id).draw(node, state.acts);
    compare([...this.cards.values()].map((card) => card.spark));
  }
}

class Card {
  constructor(template, id) {
    this.root = template.content.cloneNode(true).firstElementChild;
    this.id = id;
    this.health = "";
    this.spark = new Spark(this.root.querySelector(".spark"), "commands per second");
    this.fields = fields(this.root);
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
    label(this.buttons.get("power"), down ? "Start" : "Kill", `${down ? "Start" : "Kill"} ${node.id}`, true);
    label(this.buttons.get("move"), "Move 100 slots", `Move 100 slots from ${node.id} to the next shard`, node.state === "serving");

    this.spark.add(node.rate);
  }
}
