// The page: it follows the stream of states and hands each to the parts that draw it.

import { Decode } from "./decode.js";
import { clock, count, rate, write } from "./dom.js";
import { Events } from "./events.js";
import { Lanes } from "./lanes.js";
import { Nodes } from "./nodes.js";

const SILENCE = 5000; // ms without a state after which the figures are called old
const RETRY = 2000; // ms until a stream that the browser gave up is opened again

const byId = (id) => document.getElementById(id);

const lanes = new Lanes(byId("lanes"), document.querySelector(".axis"));
const nodes = new Nodes(byId("nodes"), byId("card"));
const events = new Events(byId("events"));
new Decode(byId("decode"), byId("decode-problem"), byId("decoded"));

let last = ""; // when the newest state was taken

function draw(state) {
  last = state.now;
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
