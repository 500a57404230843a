// Helpers for elements and figures.

/** html makes an element. Texts become text: what people search for is never markup. */
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

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const three = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const time = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

/** count writes a number: 12,345. */
export function count(n) {
  return whole.format(n);
}

/** measured writes a number with three digits. */
export function measured(n) {
  return n >= 100 ? whole.format(n) : three.format(n);
}

/** wait writes a time that is given in milliseconds: 12.5 ms, 310 µs. */
export function wait(ms) {
  return ms >= 1 || ms === 0 ? `${measured(ms)} ms` : `${measured(ms * 1000)} µs`;
}

/** bytes writes a size with three digits: 812 B, 1.24 MiB. */
export function bytes(n) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  for (; n >= 1000 && unit < units.length - 1; unit++) n /= 1024;
  return `${unit === 0 ? count(n) : measured(n)} ${units[unit]}`;
}

/** clock writes the time of day of what JSON carries. */
export function clock(at) {
  return time.format(new Date(at));
}

/** act posts an action; its result is what went wrong, empty if nothing did. */
export async function act(name, parameters = {}) {
  try {
    const reply = await fetch(`action/${name}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(parameters),
    });
    if (reply.ok) return "";
    return (await reply.text()).trim() || `refused with status ${reply.status}`;
  } catch {
    return "no answer: is the service still running?";
  }
}

/**
 * once runs work that a button starts, and ignores the button until that ends. The
 * button is not disabled for it: that would take the focus away from the keyboard.
 */
export async function once(button, work) {
  if (button.getAttribute("aria-busy") === "true" || button.getAttribute("aria-disabled") === "true") return;
  button.setAttribute("aria-busy", "true");
  try {
    await work();
  } finally {
    button.removeAttribute("aria-busy");
  }
}
