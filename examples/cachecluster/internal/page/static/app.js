// The page: it hands each state that comes to the parts that draw it.

import { act, once } from "./dash/actions.js";
import { reveal, write } from "./dash/elements.js";
import { Events } from "./dash/events.js";
import { bytes, count, percent, rate } from "./dash/figures.js";
import { follow } from "./dash/stream.js";
import { Nodes } from "./nodes.js";
import { Bars, Slots } from "./slots.js";

const byId = (id) => document.getElementById(id);

const slots = new Slots(byId("strip"), byId("owners"));
const bars = new Bars(byId("policies"), byId("bars"));
const nodes = new Nodes(byId("nodes"), byId("card"));
const events = new Events(byId("events"), (event) => event.node);

const form = byId("run");
form.addEventListener("submit", (ev) => {
  ev.preventDefault();
  once(form.elements.send, async () => {
    reveal(byId("run-problem"), await act("run", { command: form.elements.command.value }));
  });
});

function draw(state) {
  if (document.title !== state.name) document.title = state.name;
  write(byId("name"), state.name);
  drawTotals(state.totals);
  nodes.draw(state);
  slots.draw(state);
  bars.draw(state);
  events.draw(state);
}

function drawTotals(totals) {
  write(byId("total-keys"), count(totals.keys));
  write(byId("total-used"), bytes(totals.used));
  write(byId("total-rate"), rate(totals.rate));
  write(byId("total-ratio"), percent(totals.hitRatio));
  write(byId("total-serving"), `${totals.serving} of ${totals.shards}`);
}

follow(draw);
