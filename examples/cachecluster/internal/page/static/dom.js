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

/** colour names the style of a shard. */
export function colour(shard) {
  return `place-${shard % COLOURS}`;
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

/** bytes writes a size: 512 B, 1.5 MB. */
export function bytes(n) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (n >= 1024 && unit < units.length - 1) {
    n /= 1024;
    unit++;
  }
  return `${unit > 0 && n < 100 ? n.toFixed(1) : count(n)} ${units[unit]}`;
}

/** percent writes a ratio: 93.4 %. */
export function percent(ratio) {
  return `${(100 * ratio).toFixed(1)} %`;
}

/** clock writes the time of day of what JSON carries. */
export function clock(at) {
  return time.format(new Date(at));
}
