// What the service is doing: generation, nodes, ranges and trends.

import { act, once } from "./dash/actions.js";
import { colour, html, mark, reveal, write } from "./dash/elements.js";
import { bytes, clock, count } from "./dash/figures.js";

const byId = (id) => document.getElementById(id);

/** figures draws the head and the generation's panel. */
export function figures(status) {
  write(byId("latency"), [status.p50, status.p95, status.p99].map(wait).join(" · "));
  write(byId("rate"), measured(status.rate));
  write(byId("hits"), share(status.hits, status.hits + status.misses));
  write(byId("lag"), wait(status.lag));
  write(byId("picked"), share(status.picked, status.searches));
  write(byId("generation"), status.generation === 0 ? "none yet" : count(status.generation));
  write(byId("generation-about"), status.generation === 0 ? "" : `made at ${clock(status.built)}${status.ready ? "" : "; some of it has no node"}`);
  write(byId("terms"), count(status.terms));
  write(byId("logged"), count(status.logged));
  write(byId("rebuilds"), `${count(status.rebuilds)} · ${count(status.refused)}`);
  write(byId("troubles"), `${count(status.degraded)} · ${count(status.limited)} · ${count(status.errors)}`);
  mark(byId("rollback"), "aria-disabled", String(status.previous === 0));
  write(byId("rollback"), status.previous === 0 ? "Go back" : `Go back to ${status.previous}`);
}

const three = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

/** measured writes a number with three digits. */
function measured(n) {
  return n >= 100 ? count(n) : three.format(n);
}

/** wait writes a time that is given in milliseconds: 12.5 ms, 310 µs. */
function wait(ms) {
  return ms >= 1 || ms === 0 ? `${measured(ms)} ms` : `${measured(ms * 1000)} µs`;
}

function share(part, all) {
  return all === 0 ? "–" : `${Math.round((100 * part) / all)} %`;
}

/** buttons are those of the generation's panel. */
export function buttons() {
  for (const name of ["rebuild", "rollback"]) {
    byId(name).addEventListener("click", () =>
      once(byId(name), async () => reveal(byId("generation-problem"), await act(name))));
  }
}

export class Nodes {
  constructor(root, template) {
    this.root = root;
    this.template = template;
    this.cards = new Map();
  }

  draw(status) {
    (status.nodes ?? []).forEach((node, i) => this.card(node, i));
  }

  card(node, i) {
    let card = this.cards.get(node.id);
    if (!card) {
      card = this.template.content.firstElementChild.cloneNode(true);
      card.dataset.node = node.id;
      card.classList.add(colour(i));
      const button = card.querySelector("[data-do=power]");
      button.addEventListener("click", () => once(button, async () => {
        const problem = await act(card.dataset.state === "up" ? "kill" : "start", { node: node.id });
        reveal(card.querySelector("[data-field=refused]"), problem);
      }));
      this.cards.set(node.id, card);
      this.root.append(card);
    }
    const state = node.up ? "up" : "down";
    const field = (name, text) => write(card.querySelector(`[data-field=${name}]`), text);
    mark(card, "data-state", state);
    mark(card.querySelector("use"), "href", `#icon-${state}`);
    field("id", node.id);
    field("state", state);
    reveal(card.querySelector("[data-field=error]"), node.up ? "" : node.error);
    field("terms", count(node.terms));
    field("bytes", bytes(node.bytes));
    field("hot", count(node.hot));
    field("queries", count(node.queries));
    field("applied", `${count(node.applied)}${node.up ? `, ${wait(node.lag)} late` : ""}`);
    field("ranges", (node.ranges ?? []).map((range) => range + 1).join(" "));
    field("addr", node.addr);
    const button = card.querySelector("[data-do=power]");
    write(button, node.up ? "Kill" : "Start");
    mark(button, "aria-label", `${node.up ? "Kill" : "Start"} ${node.id}`);
  }
}

export class Ranges {
  constructor(root) {
    this.root = root;
    this.drawn = "";
  }

  draw(status) {
    const nodes = status.nodes ?? [];
    const drawn = JSON.stringify([status.bounds, status.owners, nodes.map((node) => node.up)]);
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    this.root.replaceChildren(...(status.owners ?? []).map((owners, i) => {
      const from = i === 0 ? "" : status.bounds[i - 1];
      const to = status.bounds[i] ?? "";
      const blocks = owners.map((id) => {
        const at = nodes.findIndex((node) => node.id === id);
        return html("span", { class: `block ${colour(at)}`, "data-state": nodes[at]?.up ? "up" : "down", "aria-hidden": "true" });
      });
      const who = owners.map((id) => (nodes.find((node) => node.id === id)?.up ? id : `${id} is down`)).join(", ");
      return html("li", {}, ...blocks, html("span", { class: "range" }, `${i + 1}  ${from || "…"} – ${to || "…"}`), html("span", { class: "who" }, who));
    }));
  }
}

export class Trends {
  constructor(root, none, field) {
    this.root = root;
    this.none = none;
    this.field = field;
    this.drawn = "";
  }

  draw(trending) {
    const terms = (trending ?? []).map((suggestion) => suggestion.query);
    const drawn = JSON.stringify(terms);
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    this.none.hidden = terms.length > 0;
    this.root.replaceChildren(...terms.map((term) => {
      const button = html("button", { type: "button" }, term);
      button.addEventListener("click", () => {
        this.field.value = term;
        this.field.focus();
        this.field.dispatchEvent(new Event("input"));
      });
      return html("li", {}, button);
    }));
  }
}
