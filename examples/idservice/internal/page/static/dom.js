// Helpers for elements and figures.

/** html makes an element. */
export function html(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/**
 * write sets an element's text. What has not changed is left alone, so that a selection
 * survives and a live region does not speak twice.
 */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** reveal writes a text into an element that is hidden while there is none. */
export function reveal(element, text) {
  write(element, text);
  element.hidden = text === "";
}

/** mark sets an attribute if it differs. */
export function mark(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

const COLOURS = 8; // --node-0 … --node-7 of the style sheet

/** colour names the style of a node by its place among the nodes. */
export function colour(place) {
  return `place-${place % COLOURS}`;
}

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const time = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

/** count writes a number: 12,345. */
export function count(n) {
  return whole.format(n);
}

/** rate writes a number per second: a fraction only where it says something. */
export function rate(n) {
  return n > 0 && n < 10 ? n.toFixed(1) : count(n);
}

/** span writes a duration of milliseconds with its sign: −2.00 s, +12 ms, 0 ms. */
export function span(ms) {
  const size = Math.abs(ms);
  const sign = ms < 0 ? "−" : "+";
  if (size < 0.5) return "0 ms";
  if (size < 1000) return `${sign}${size.toFixed(0)} ms`;
  if (size < 60_000) return `${sign}${(size / 1000).toFixed(2)} s`;
  if (size < 3_600_000) return `${sign}${(size / 60_000).toFixed(1)} min`;
  return `${sign}${(size / 3_600_000).toFixed(1)} h`;
}

/** clock writes the time of day of what JSON carries. */
export function clock(at) {
  return time.format(new Date(at));
}
