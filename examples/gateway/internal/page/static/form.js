// The form that makes requests, and the switch of the shared store.

import { act, once } from "./dash/actions.js";
import { html, mark, options, reveal, write } from "./dash/elements.js";
import { count } from "./dash/figures.js";

const SPOKEN = { 200: "answered", 401: "unknown key", 404: "nothing there", 429: "refused by a limit", 502: "no backend", 503: "given a rest", 504: "too late" };

export class Form {
  constructor(form, problem, answer) {
    this.form = form;
    this.problem = problem;
    this.answer = answer;
    this.asked = "";
    this.serial = 0;
    const { send, store } = form.elements;
    form.addEventListener("submit", (ev) => {
      ev.preventDefault();
      once(send, async () => {
        const { path, key, from, count: many } = form.elements;
        this.asked = `${Date.now()}-${++this.serial}`;
        reveal(this.problem, await act("send", { path: path.value, key: key.value, from: from.value, count: many.value, request: this.asked }));
      });
    });
    store.addEventListener("click", () => once(store, async () => reveal(this.problem, await act("redis", { to: this.down ? "up" : "down" }))));
  }

  draw(state) {
    const gateways = state.gateways ?? [];
    const { key, store } = this.form.elements;
    options(key, (state.keys ?? []).map((choice) => [choice.value, choice.label]));
    this.down = gateways.some((gateway) => gateway.down);
    store.hidden = state.real || gateways.every((gateway) => gateway.counting !== "redis");
    write(store, this.down ? "Start Redis" : "Kill Redis");
    mark(store, "title", this.down ? "Start the store that the gateways share" : "Kill the store that the gateways share");
    const event = (state.events ?? []).findLast((event) => this.asked !== "" && event.request === this.asked);
    if (!event || this.shown === this.asked) return;
    this.shown = this.asked;
    const statuses = Object.entries(event.statuses ?? {}).sort();
    this.answer.replaceChildren(
      html("ul", { class: "values" }, ...statuses.map(([status, n]) =>
        html("li", { class: status === "200" ? "good" : "" }, html("b", {}, `${count(n)} ×`), html("span", {}, `${status} ${SPOKEN[status] ?? ""}`)))),
      event.limit ? html("p", { class: "hint" }, "RateLimit: ", html("code", {}, event.limit)) : "",
    );
  }
}
