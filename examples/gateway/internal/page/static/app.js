// The page: it follows the stream of states and hands each to the parts that draw it.

import { clock, count, millis, rate, write } from "./dom.js";
import { Events } from "./events.js";
import { Flow } from "./flow.js";
import { Form } from "./form.js";
import { Gateways } from "./gateways.js";
import { Pools } from "./pools.js";
import { Tables } from "./tables.js";

const SILENCE = 5000; // ms without a state after which the figures are called old
const RETRY = 2000; // ms until a stream that the browser gave up is opened again

const byId = (id) => document.getElementById(id);

const parts = [
  new Flow(byId("flow"), byId("flow-text")),
  new Gateways(byId("gateways"), byId("gateway-card")),
  new Pools(byId("pools"), byId("pool-panel"), byId("backend-row")),
  new Form(byId("try"), byId("try-problem"), byId("answer")),
  new Tables(byId("routes"), byId("clients"), byId("audits")),
  new Events(byId("events")),
];

let last = ""; // when the newest state was taken

function draw(state) {
  last = state.now;
  if (document.title !== state.name) document.title = state.name;
  write(byId("name"), state.name);
  const totals = state.totals;
  write(byId("total-rate"), rate(totals.rate));
  write(byId("total-p99"), millis(totals.p99));
  write(byId("total-limited"), rate(totals.limited));
  write(byId("total-failed"), rate(totals.failed));
  write(byId("total-retries"), count(totals.retries));
  for (const part of parts) part.draw(state);
}

/** link says how fresh the figures are. */
function link(condition, text) {
  if (byId("link").dataset.link !== condition) byId("link").dataset.link = condition;
  document.body.classList.toggle("stale", condition !== "live");
  write(byId("link-text"), last === "" || condition === "live" ? text : `${text}; figures of ${clock(last)}`);
}

function follow() {
  const stream = new EventSource("events");
  let watch = 0;
  const expect = () => {
    clearTimeout(watch);
    watch = setTimeout(() => link("reconnecting", "no news"), SILENCE);
  };
  stream.addEventListener("message", (ev) => {
    draw(JSON.parse(ev.data));
    link("live", "live");
    expect();
  });
  stream.addEventListener("problem", (ev) => {
    link("problem", `no state: ${ev.data}`);
    expect();
  });
  stream.addEventListener("error", () => {
    clearTimeout(watch);
    link("reconnecting", "reconnecting");
    // The browser tries again by itself, but not after an answer that is no stream.
    if (stream.readyState === EventSource.CLOSED) setTimeout(follow, RETRY);
  });
}

follow();
