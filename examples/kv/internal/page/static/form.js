// The form that asks a node, and the answer. An action says only that it was done; what
// it found comes as an event of a later state, known by the request that it names.

import { act, once } from "./dash/actions.js";
import { html, options, reveal } from "./dash/elements.js";
import { clock, plural } from "./dash/figures.js";

export class Form {
  constructor(form, problem, answer) {
    this.form = form;
    this.problem = problem;
    this.answer = answer;
    this.waiting = ""; // the request whose answer is looked for
    this.asked = 0;
    this.tab = Math.random().toString(36).slice(2); // other pages ask the same store
    this.coordinator = form.elements.namedItem("node");
    form.addEventListener("submit", (ev) => {
      ev.preventDefault();
      this.submit(ev.submitter);
    });
    form.elements.namedItem("value").addEventListener("keydown", (ev) => {
      if (ev.key !== "Enter") return;
      ev.preventDefault();
      form.requestSubmit(form.elements.namedItem("put"));
    });
  }

  submit(button) {
    const name = button?.name === "put" ? "put" : "get";
    const asked = { key: this.form.elements.namedItem("key").value, node: this.coordinator.value };
    if (name === "put") asked.value = this.form.elements.namedItem("value").value;
    return once(button ?? this.form.elements.namedItem("get"), () => this.ask(name, asked));
  }

  async ask(name, parameters) {
    const request = `${this.tab}-${++this.asked}`;
    this.waiting = request;
    const problem = await act(name, { ...parameters, request });
    if (problem !== "" && this.waiting === request) this.waiting = "";
    reveal(this.problem, problem);
  }

  draw(state) {
    const nodes = state.nodes ?? [];
    options(this.coordinator, nodes.map((node) => [node.id, node.state === "up" ? node.id : `${node.id} (${node.state})`]));
    if (this.waiting === "") return;
    const event = (state.events ?? []).find((event) => event.request === this.waiting);
    if (!event) return;
    this.waiting = "";
    this.drawAnswer(event);
  }

  drawAnswer(event) {
    const values = event.values ?? [];
    const parts = [
      html("p", {}, html("b", {}, event.kind), " ", html("code", {}, event.key), ` at ${event.node}, ${clock(event.at)}`),
      html("p", {}, event.text),
    ];
    if (values.length > 1) {
      parts.push(html("p", {}, `${plural(values.length, "sibling")}: writes that did not see each other. Keep one of them:`));
    }
    if (values.length > 0) {
      parts.push(html("ol", { class: "values" }, ...values.map((value, i) => this.sibling(event, value, i, values.length))));
    }
    this.answer.replaceChildren(...parts);
  }

  sibling(event, value, i, all) {
    const line = html("li", {}, value === "" ? html("i", {}, "the empty value") : html("code", {}, value));
    if (all > 1) {
      const keep = html("button", { type: "button", "aria-label": `Keep sibling ${i + 1}` }, "Keep");
      keep.addEventListener("click", () => once(keep, () => this.ask("resolve", { key: event.key, value, node: event.node })));
      line.append(keep);
    }
    return line;
  }
}
