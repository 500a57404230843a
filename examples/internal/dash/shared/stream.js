// The stream of states: whoever draws them is handed each, and #link says how fresh they are.

import { write } from "./elements.js";
import { clock } from "./figures.js";

const SILENCE = 5000; // ms without a state after which the figures are called old
const RETRY = 2000; // ms until a stream that the browser gave up is opened again

const byId = (id) => document.getElementById(id);

let last = ""; // when the newest state was taken

/** link says how fresh the figures are. */
function link(condition, text) {
  if (byId("link").dataset.link !== condition) byId("link").dataset.link = condition;
  document.body.classList.toggle("stale", condition !== "live");
  write(byId("link-text"), last === "" || condition === "live" ? text : `${text}; figures of ${clock(last)}`);
}

/** follow calls draw with each state that comes, for ever. */
export function follow(draw) {
  const stream = new EventSource("events");
  let watch = 0;
  const expect = () => {
    clearTimeout(watch);
    watch = setTimeout(() => link("reconnecting", "no news"), SILENCE);
  };
  stream.addEventListener("message", (ev) => {
    const state = JSON.parse(ev.data);
    last = state.now;
    draw(state);
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
    if (stream.readyState === EventSource.CLOSED) setTimeout(() => follow(draw), RETRY);
  });
}
