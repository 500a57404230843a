// The page: it follows the stream of states and hands each to the parts that draw it.

import { clock, write } from "./dom.js";
import { Search } from "./search.js";
import { buttons, Events, figures, Nodes, Ranges, Trends } from "./service.js";

const SILENCE = 5000; // ms without a state after which the figures are called old
const RETRY = 2000; // ms until a stream that the browser gave up is opened again

const byId = (id) => document.getElementById(id);

new Search(byId("find"), byId("suggestions"), byId("said"), byId("find-problem"));
const nodes = new Nodes(byId("nodes"), byId("card"));
const ranges = new Ranges(byId("ranges"));
const trends = new Trends(byId("trends"), byId("no-trends"), byId("query"));
const events = new Events(byId("events"));
buttons();

let last = ""; // when the newest state was taken

function draw(state) {
  last = state.now;
  figures(state.status);
  nodes.draw(state.status);
  ranges.draw(state.status);
  trends.draw(state.trending);
  events.draw(state.events ?? []);
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
