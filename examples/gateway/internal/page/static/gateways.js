// One card a gateway. A card is made once and then only written to.

import { fields, sync, write } from "./dash/elements.js";
import { count, millis, rate } from "./dash/figures.js";
import { compare, Spark } from "./dash/spark.js";

export class Gateways {
  constructor(root, template) {
    this.root = root;
    this.template = template;
    this.cards = new Map();
  }

  draw(state) {
    const gateways = state.gateways ?? [];
    sync(this.cards, this.root, gateways, (gateway) => gateway.id, (gateway) => new Card(this.template, gateway.id));
    for (const gateway of gateways) this.cards.get(gateway.id).draw(gateway);
    compare([...this.cards.values()].map((card) => card.spark));
  }
}

class Card {
  constructor(template, id) {
    this.root = template.content.cloneNode(true).firstElementChild;
    this.root.dataset.gateway = id;
    this.fields = fields(this.root);
    this.spark = new Spark(this.root.querySelector(".spark"), "requests per second");
  }

  draw(gateway) {
    const set = (name, text) => write(this.fields.get(name), text);
    set("id", gateway.id);
    set("addr", gateway.addr);
    set("rate", rate(gateway.rate));
    set("latency", gateway.p99 > 0 ? `${millis(gateway.p50)} · ${millis(gateway.p99)}` : "–");
    set("refused", rate(gateway.refused));
    set("underWay", count(gateway.underWay));
    set("requests", `${count(gateway.requests)} · ${count(gateway.limited)} refused · ${count(gateway.failed)} failed`);
    set("degraded", count(gateway.degraded));
    set("counting", gateway.down ? "✕ counts alone: Redis is gone" : { memory: "counts for itself", redis: "✓ counts on Redis", edge: "✓ counts at the edge" }[gateway.counting]);
    this.fields.get("counting").classList.toggle("bad", gateway.down);
    this.spark.add(gateway.rate);
  }
}
