// One panel a pool, one row a backend; both are made once and then only written to, so
// that a button keeps the focus while states come in.

import { act, once } from "./dash/actions.js";
import { fields, mark, options, reveal, sync, write } from "./dash/elements.js";
import { count, millis, rate } from "./dash/figures.js";

export class Pools {
  constructor(root, panel, row) {
    this.root = root;
    this.panel = panel;
    this.row = row;
    this.panels = new Map();
  }

  draw(state) {
    const pools = state.pools ?? [];
    sync(this.panels, this.root, pools, (pool) => pool.name, (pool) => new Panel(this.panel, this.row, pool.name));
    for (const pool of pools) this.panels.get(pool.name).draw(pool, state);
  }
}

class Panel {
  constructor(template, row, name) {
    this.root = template.content.cloneNode(true).firstElementChild;
    this.root.dataset.pool = name;
    this.row = row;
    this.name = name;
    this.rows = new Map();
    this.fields = fields(this.root);
    this.policy = this.fields.get("policy");
    this.policy.addEventListener("change", () =>
      once(this.policy, async () => this.complain(await act("policy", { pool: name, policy: this.policy.value }))));
  }

  complain(text) {
    reveal(this.fields.get("refused"), text);
  }

  draw(pool, state) {
    mark(this.root, "aria-label", `Pool ${pool.name}`);
    write(this.fields.get("name"), pool.name);
    options(this.policy, (state.policies ?? []).map((policy) => [policy, policy]));
    const busy = this.policy === document.activeElement || this.policy.getAttribute("aria-busy") === "true";
    if (!busy && this.policy.value !== pool.policy) this.policy.value = pool.policy;
    this.policy.disabled = state.real;
    write(this.fields.get("breaker"), pool.breaker === "closed" ? "" : `breaker ${pool.breaker}`);
    const bound = pool.bound > 0 ? `, ${count(pool.underWay)} of at most ${count(pool.bound)} requests under way` : "";
    write(this.fields.get("sum"), `${count(pool.retries)} attempts made again${bound}`);
    const backends = pool.backends ?? [];
    const total = Math.max(1e-9, ...backends.map((backend) => backend.rate));
    sync(this.rows, this.root.querySelector(".rows"), backends, (backend) => backend.id, (backend) => new Row(this.row, this, backend.id));
    for (const backend of backends) this.rows.get(backend.id).draw(backend, backend.rate / total, state.real);
  }
}

class Row {
  constructor(template, panel, id) {
    this.root = template.content.cloneNode(true).firstElementChild;
    this.root.dataset.backend = id;
    this.fields = fields(this.root);
    this.does = {};
    for (const button of this.root.querySelectorAll("button")) {
      button.addEventListener("click", () =>
        once(button, async () => panel.complain(await act(this.does[button.dataset.do], { pool: panel.name, backend: id }))));
    }
  }

  draw(backend, share, real) {
    this.root.dataset.state = backend.state;
    mark(this.root, "aria-label", `Backend ${backend.id}, ${backend.state}`);
    mark(this.root, "title", backend.url);
    mark(this.root.querySelector("use"), "href", `#icon-${backend.state}`);
    write(this.fields.get("id"), backend.id);
    write(this.fields.get("state"), backend.state);
    this.root.querySelector(".meter span").style.width = `${(share * 100).toFixed(1)}%`;
    write(this.fields.get("rate"), `${rate(backend.rate)}/s${backend.weight > 1 ? ` · weight ${backend.weight}` : ""}`);
    write(this.fields.get("latency"), `${millis(backend.latency)} · ${count(backend.underWay)} under way`);
    write(this.fields.get("requests"), backend.failures > 0 ? `${count(backend.requests)} · ${count(backend.failures)} failed` : count(backend.requests));
    this.label("power", real ? "" : backend.runs ? ["kill", "Kill"] : ["start", "Start"], backend.id);
    this.label("pace", real ? "" : backend.slow ? ["fast", "Fast"] : ["slow", "Slow"], backend.id);
    this.label("service", backend.state === "drained" ? ["admit", "Admit"] : ["drain", "Drain"], backend.id);
  }

  /** label says what a button does now; one that cannot do anything is not there. */
  label(which, what, id) {
    const button = this.root.querySelector(`[data-do=${which}]`);
    button.hidden = what === "";
    if (what === "") return;
    const [action, text] = what;
    this.does[which] = action;
    write(button, text);
    mark(button, "aria-label", `${text} ${id}`);
  }
}
