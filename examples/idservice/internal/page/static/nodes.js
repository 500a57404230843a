// One card a node. A card is made once and then only written to, so that a button keeps
// the focus and a figure its selection while states come in.

import { act, once } from "./dash/actions.js";
import { colour, fields, label, mark, reveal, sync, write } from "./dash/elements.js";
import { count, rate } from "./dash/figures.js";
import { compare, Spark } from "./dash/spark.js";
import { span } from "./span.js";

export class Nodes {
  constructor(root, template) {
    this.root = root;
    this.template = template;
    this.cards = new Map();
  }

  draw(state) {
    const nodes = state.nodes ?? [];
    sync(this.cards, this.root, nodes, (node) => node.id, (node) => new Card(this.template, node.id));
    nodes.forEach((node, place) => this.cards.get(node.id).draw(node, place, state.acts));
    compare([...this.cards.values()].map((card) => card.spark));
  }
}

class Card {
  constructor(template, id) {
    this.root = template.content.cloneNode(true).firstElementChild;
    this.id = id;
    this.health = "";
    this.spark = new Spark(this.root.querySelector(".spark"), "ids per second");
    this.fields = fields(this.root);
    this.buttons = new Map([...this.root.querySelectorAll("[data-do]")].map((e) => [e.dataset.do, e]));
    this.root.dataset.node = id;
    this.does("power", () => [this.health === "down" ? "start" : "kill", {}]);
    this.does("freeze", () => [this.health === "frozen" ? "thaw" : "freeze", {}]);
    this.does("step", () => ["step", { by: "-2s" }]);
    this.does("right", () => ["right", {}]);
  }

  /** does makes a button post what work says. */
  does(name, work) {
    const button = this.buttons.get(name);
    button.addEventListener("click", () => once(button, async () => {
      const [action, parameters] = work();
      reveal(this.field("refused"), await act(action, { node: this.id, ...parameters }));
    }));
  }

  field(name) {
    return this.fields.get(name);
  }

  draw(node, place, acts) {
    this.health = node.state;
    this.root.dataset.state = node.state;
    mark(this.root, "aria-label", `Node ${node.id}, ${node.state}`);
    mark(this.root.querySelector(".swatch"), "class", `swatch ${colour(place)}`);
    mark(this.root.querySelector("use"), "href", `#icon-${node.state}`);
    write(this.field("id"), node.id);
    write(this.field("state"), node.state);
    write(this.field("worker"), node.worker < 0 ? "no worker id" : `worker ${node.worker}`);
    reveal(this.field("error"), node.error);

    write(this.field("rate"), rate(node.rate));
    write(this.field("issued"), count(node.issued));
    write(this.field("requests"), node.failed > 0 ? `${count(node.requests)} · ${count(node.failed)} failed` : count(node.requests));
    write(this.field("took"), node.most > 0 ? [node.p50, node.p99, node.most].map(brief).join(" · ") : "–");
    write(this.field("renewed"), node.worker < 0 ? "–" : `${seconds(node.renewed)} ago (${seconds(node.ttl)})`);
    write(this.field("leases"), `${count(node.leases)} · ${count(node.lost)}`);
    write(this.field("drift"), node.skew >= 1 ? `${span(node.drift)}, skew ${span(node.skew)}` : span(node.drift));
    this.field("drift").classList.toggle("bad", Math.abs(node.drift) >= 1000);
    write(this.field("steps"), `${count(node.absorbed)} · ${count(node.refused)}`);
    write(this.field("waits"), count(node.waits));
    write(this.field("where"), `http ${node.http || "–"}\nredis ${node.redis || "–"}\n${node.owner === "" ? "" : `holder ${node.owner}`}`);

    const down = node.state === "down";
    const frozen = node.state === "frozen";
    this.field("buttons").hidden = !acts;
    label(this.buttons.get("power"), down ? "Start" : "Kill", `${down ? "Start" : "Kill"} ${node.id}`, true);
    label(this.buttons.get("freeze"), frozen ? "Thaw" : "Freeze", `${frozen ? "Thaw" : "Freeze"} ${node.id}`, !down);
    label(this.buttons.get("step"), "Clock −2 s", `Set the clock of ${node.id} back by two seconds`, !frozen);
    label(this.buttons.get("right"), "Set right", `Set the clock of ${node.id} right`, !frozen);

    this.spark.add(node.rate);
  }
}

/** brief writes a duration that may be a part of a millisecond: 1.2 µs, 340 µs, 12.0 ms. */
function brief(ms) {
  if (ms >= 1000) return seconds(ms);
  return ms >= 1 ? `${ms.toPrecision(3)} ms` : `${Number((ms * 1000).toPrecision(2))} µs`;
}

/** seconds writes a duration without a sign. */
function seconds(ms) {
  return `${(ms / 1000).toFixed(1)} s`;
}
