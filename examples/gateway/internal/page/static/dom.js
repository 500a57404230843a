// Helpers for elements and figures.

/** html makes an HTML element. */
export function html(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** svg makes an SVG element. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(document.querySelector("svg").namespaceURI, tag), attributes, children);
}

function fill(element, attributes, children) {
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

/** fields are the elements of a template's copy by their data-field. */
export function fields(root) {
  return new Map([...root.querySelectorAll("[data-field]")].map((e) => [e.dataset.field, e]));
}

/** options fills a select, and leaves it alone while they are the same. */
export function options(select, choices) {
  const key = JSON.stringify(choices);
  if (select.dataset.choices === key) return;
  const chosen = select.value;
  select.replaceChildren(...choices.map(([value, label]) => html("option", { value }, label)));
  select.dataset.choices = key;
  if (choices.some(([value]) => value === chosen)) select.value = chosen;
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

/** millis writes a time of about three digits. */
export function millis(n) {
  if (n === 0) return "–";
  if (n >= 1000) return `${(n / 1000).toFixed(2)} s`;
  if (n >= 100) return `${count(n)} ms`;
  return n >= 10 ? `${n.toFixed(1)} ms` : `${n.toFixed(2)} ms`;
}

/** clock writes the time of day of what JSON carries. */
export function clock(at) {
  return time.format(new Date(at));
}
