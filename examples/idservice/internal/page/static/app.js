// The page: it hands each state that comes to the parts that draw it.

import { write } from "./dash/elements.js";
import { Events } from "./dash/events.js";
import { count, rate } from "./dash/figures.js";
import { follow } from "./dash/stream.js";
import { Decode } from "./decode.js";
import { Lanes } from "./lanes.js";
import { Nodes } from "./nodes.js";

const byId = (id) => document.getElementById(id);

const lanes = new Lanes(byId("lanes"), document.querySelector(".axis"));
const nodes = new Nodes(byId("nodes"), byId("card"));
const events = new Events(byId("events"), (event) => event.node);
new Decode(byId("decode"), byId("decode-problem"), byId("decoded"));

function draw(state) {
  if (document.title !== state.service) document.title = state.service;
  write(byId("service"), state.service);
  drawTotals(state.totals, (state.nodes ?? []).length);
  nodes.draw(state);
  lanes.draw(state);
  events.draw(state);
}

function drawTotals(totals, all) {
  write(byId("total-issued"), count(totals.issued));
  write(byId("total-rate"), rate(totals.rate));
  write(byId("total-serving"), `${totals.serving} of ${all}`);
  write(byId("total-lost"), count(totals.lost));
  write(byId("total-proof"), totals.proof);
}

follow(draw);
