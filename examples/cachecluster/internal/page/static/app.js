// The page: it follows the stream of states and hands each to the parts that draw it.

import { act, once } from "./actions.js";
import { bytes, clock, count, percent, rate, reveal, write } from "./dom.js";
import { Events } from "./events.js";
import { Nodes } from "./nodes.js";
import { Bars, Slots } from "./slots.js";

const SILENCE = 5000; // ms without a state after which the figures are called old
const RETRY = 2000; // ms until a stream that the browser gave up is opened again

const byId = (id) => document.getElementById(id);

const slots = new Slots(byId("strip"), byId("owners"));
const bars = new Bars(byId("policies"), byId("bars"));
const nodes = new Nodes(byId("nodes"), byId("card"));
const events = new Events(byId("events"));

const form = byId("run");
form.addEventListener("submit", (ev) => {
  ev.preventDefault();
  once(form.elements.send, async () => {
    reveal(byId("run-problem"), await act("run", { command: form.elements.command.value }));
  });
});

let last = ""; // when the newest state was taken

function draw(state) {
  last = state.now;
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
