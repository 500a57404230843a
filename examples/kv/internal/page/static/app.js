// The page: it follows the stream of states and hands each to the parts that draw it.

import { bytes, clock, count, rate, write } from "./dom.js";
import { Events } from "./events.js";
import { Form } from "./form.js";
import { Nodes } from "./nodes.js";
import { Ring } from "./ring.js";

const SILENCE = 5000; // ms without a state after which the figures are called old
const RETRY = 2000; // ms until a stream that the browser gave up is opened again

const byId = (id) => document.getElementById(id);

const ring = new Ring(byId("ring"), (owners) => nodes.highlight(owners));
const nodes = new Nodes(byId("nodes"), byId("card"), (id) => ring.point(id));
const form = new Form(byId("ask"), byId("ask-problem"), byId("answer"));
const events = new Events(byId("events"));

let last = ""; // when the newest state was taken

function draw(state) {
  last = state.now;
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
