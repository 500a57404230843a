// Helpers for elements.

/** html makes an HTML element. Texts among the children stay texts: nothing is ever markup. */
export function html(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** svg makes an SVG element. */
export function svg(tag, attributes = {}, ...children) {
  const namespace = document.querySelector("svg").namespaceURI;
  return fill(document.createElementNS(namespace, tag), attributes, children);
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

/** label names a button and says what pressing it would do, if anything. */
export function label(button, text, title, on) {
  write(button, text);
  mark(button, "title", title);
  mark(button, "aria-label", title);
  mark(button, "aria-disabled", String(!on));
}

/** options fills a select with [value, text] each, and leaves it alone while they are the same. */
export function options(select, choices) {
  const key = JSON.stringify(choices);
  if (select.dataset.choices === key) return;
  const chosen = select.value;
  select.replaceChildren(...choices.map(([value, text]) => html("option", { value }, text)));
  select.dataset.choices = key;
  if (choices.some(([value]) => value === chosen)) select.value = chosen;
}

/** fields are the elements of a template's copy by their data-field. */
export function fields(root) {
  return new Map([...root.querySelectorAll("[data-field]")].map((e) => [e.dataset.field, e]));
}

/**
 * sync keeps one view for each item below root, in the items' order. A view is made once and
 * has its element in root; views is the Map of them, by the items' ids.
 */
export function sync(views, root, items, id, make) {
  const known = new Set(items.map(id));
  for (const [name, view] of views) {
    if (known.has(name)) continue;
    view.root.remove();
    views.delete(name);
  }
  items.forEach((item, place) => {
    if (!views.has(id(item))) views.set(id(item), make(item));
    const view = views.get(id(item));
    if (root.children[place] !== view.root) root.insertBefore(view.root, root.children[place] ?? null);
  });
}

const COLOURS = 8; // --node-0 … --node-7 of base.css

/** colour names the style of a node by its place among the nodes. */
export function colour(place) {
  return `owner-${place % COLOURS}`;
}
