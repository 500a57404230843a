// The page: it hands each state that comes to the parts that draw it.

import { write } from "./dash/elements.js";
import { Events } from "./dash/events.js";
import { count, millis, rate } from "./dash/figures.js";
import { follow } from "./dash/stream.js";
import { Flow } from "./flow.js";
import { Form } from "./form.js";
import { Gateways } from "./gateways.js";
import { Pools } from "./pools.js";
import { Tables } from "./tables.js";

const byId = (id) => document.getElementById(id);

const parts = [
  new Flow(byId("flow"), byId("flow-text")),
  new Gateways(byId("gateways"), byId("gateway-card")),
  new Pools(byId("pools"), byId("pool-panel"), byId("backend-row")),
  new Form(byId("try"), byId("try-problem"), byId("answer")),
  new Tables(byId("routes"), byId("clients"), byId("audits")),
  new Events(byId("events"), (event) => event.who),
];

function draw(state) {
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

follow(draw);
