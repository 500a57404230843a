// The page: it hands each state that comes to the parts that draw it.

import { write } from "./dash/elements.js";
import { Events } from "./dash/events.js";
import { bytes, count, rate } from "./dash/figures.js";
import { follow } from "./dash/stream.js";
import { Form } from "./form.js";
import { Nodes } from "./nodes.js";
import { Ring } from "./ring.js";

const byId = (id) => document.getElementById(id);

const ring = new Ring(byId("ring"), (owners) => nodes.highlight(owners));
const nodes = new Nodes(byId("nodes"), byId("card"), (id) => ring.point(id));
const form = new Form(byId("ask"), byId("ask-problem"), byId("answer"));
const events = new Events(byId("events"), (event) => event.node);

function draw(state) {
  if (document.title !== state.cluster) document.title = state.cluster;
  write(byId("cluster"), state.cluster);
  drawTotals(state.totals);
  nodes.draw(state);
  ring.draw(state);
  form.draw(state);
  events.draw(state);
}

function drawTotals(totals) {
  write(byId("total-keys"), count(totals.keys));
  write(byId("total-bytes"), bytes(totals.bytes));
  write(byId("total-rate"), rate(totals.rate));
  write(byId("total-hints"), count(totals.hints));
  write(byId("total-repair"), bytes(totals.repairBytes));
}

follow(draw);
