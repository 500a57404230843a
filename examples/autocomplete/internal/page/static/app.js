// The page: it hands each state that comes to the parts that draw it.

import { Events } from "./dash/events.js";
import { follow } from "./dash/stream.js";
import { Search } from "./search.js";
import { buttons, figures, Nodes, Ranges, Trends } from "./service.js";

const byId = (id) => document.getElementById(id);

new Search(byId("find"), byId("suggestions"), byId("said"), byId("find-problem"));
const nodes = new Nodes(byId("nodes"), byId("card"));
const ranges = new Ranges(byId("ranges"));
const trends = new Trends(byId("trends"), byId("no-trends"), byId("query"));
const events = new Events(byId("events"), (event) => event.node);
buttons();

function draw(state) {
  figures(state.status);
  nodes.draw(state.status);
  ranges.draw(state.status);
  trends.draw(state.trending);
  events.draw(state);
}

follow(draw);
