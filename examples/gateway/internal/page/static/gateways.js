// One card a gateway. A card is made once and then only written to.

import { count, fields, mark, millis, rate, write } from "./dom.js";

const SAMPLES = 60;

export class Gateways {
  constructor(root, template) {
    this.root = root;
    this.template = template;
    this.cards = new Map();
  }

  draw(state) {
    for (const gateway of state.gateways ?? []) {
      if (!this.cards.has(gateway.id)) {
        const card = new Card(this.template, gateway.id);
        this.cards.set(gateway.id, card);
        this.root.append(card.root);
      }
      this.cards.get(gateway.id).draw(gateway);
    }
    // One scale for all: the lines are there to be compared.
    const peak = Math.max(1, ...[...this.cards.values()].flatMap((card) => card.samples));
    for (const card of this.cards.values()) card.spark(peak);
  }
}

class Card {
  constructor(template, id) {
    this.root = template.content.cloneNode(true).firstElementChild;
    this.root.dataset.gateway = id;
    this.fields = fields(this.root);
    this.samples = [];
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
    this.samples.push(gateway.rate);
    if (this.samples.length > SAMPLES) this.samples.shift();
  }

  spark(peak) {
    // New samples come in at the right end, so that a short history does not stretch.
    const first = (SAMPLES - this.samples.length) * 2;
    const points = this.samples.map((n, i) => `${first + i * 2} ${(29 - (n / peak) * 28).toFixed(1)}`);
    const picture = this.root.querySelector(".spark");
    picture.querySelector(".line").setAttribute("d", `M${points.join("L")}`);
    picture.querySelector(".area").setAttribute("d", `M${first} 30L${points.join("L")}L118 30z`);
    mark(picture, "aria-label", `requests per second, the last ${this.samples.length} samples, highest ${rate(Math.max(...this.samples))}`);
  }
}
