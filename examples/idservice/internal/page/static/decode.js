// The form that takes an id apart, and what it finds.

import { once } from "./dash/actions.js";
import { html, reveal } from "./dash/elements.js";
import { span } from "./span.js";

export class Decode {
  constructor(form, problem, answer) {
    this.form = form;
    this.problem = problem;
    this.answer = answer;
    this.text = form.elements.namedItem("text");
    this.button = form.elements.namedItem("decode");
    const fetcher = form.elements.namedItem("get");
    form.addEventListener("submit", (ev) => {
      ev.preventDefault();
      once(this.button, () => this.show());
    });
    fetcher.addEventListener("click", () => once(fetcher, async () => {
      if (await this.attempt(async () => (this.text.value = await get("id")))) await this.show();
    }));
  }

  /** attempt runs work, shows what went wrong and tells whether nothing did. */
  async attempt(work) {
    try {
      await work();
      reveal(this.problem, "");
      return true;
    } catch (err) {
      reveal(this.problem, err.message);
      return false;
    }
  }

  show() {
    return this.attempt(async () => {
      const decoded = JSON.parse(await get(`decode/${encodeURIComponent(this.text.value.trim())}`));
      this.draw(decoded);
    });
  }

  draw(decoded) {
    const widths = [["time", decoded.timeBits], ["node", decoded.nodeBits], ["sequence", decoded.seqBits]];
    // The bits above the time are zero: one for the sign, more where ids fit JavaScript.
    let at = decoded.binary.length - widths.reduce((sum, [, bits]) => sum + bits, 0);
    const strip = html("div", { class: "bits", role: "img", "aria-label": `${decoded.timeBits} bits of time, ${decoded.nodeBits} of node, ${decoded.seqBits} of sequence` });
    for (const [name, bits] of widths) {
      const part = html("span", { class: `part part-${name}` });
      part.style.flexGrow = bits;
      for (const bit of decoded.binary.slice(at, at + bits)) part.append(html("i", bit === "1" ? { class: "one" } : {}));
      at += bits;
      strip.append(part);
    }
    const made = new Date(decoded.time);
    const age = span(decoded.unixMs - Date.now());
    const centre = decoded.dataCenter === undefined ? "" : `, or data centre ${decoded.dataCenter}, machine ${decoded.machine}`;
    this.answer.replaceChildren(
      strip,
      html("dl", { class: "parts" },
        row("time", html("b", {}, decoded.time), ` (${made.toLocaleString()} here, ${age})`),
        row("node", html("b", {}, String(decoded.node)), centre),
        row("sequence", html("b", {}, String(decoded.sequence)), " within its unit of time")),
      html("dl", { class: "texts" },
        ...decoded.encodings.map((way) => html("div", {}, html("dt", {}, way.encoding), html("dd", {}, html("code", {}, way.text))))),
      html("p", { class: "hint" }, `Read as ${decoded.read}.`),
    );
  }
}

function row(name, ...content) {
  return html("div", { class: `part-${name}` }, html("dt", {}, html("span", { class: "chip", "aria-hidden": "true" }), name), html("dd", {}, ...content));
}

/** get reads a text; it throws an Error that can be shown. */
async function get(path) {
  let answer;
  try {
    answer = await fetch(path);
  } catch {
    throw new Error("no answer: is the service still running?");
  }
  const text = (await answer.text()).trim();
  if (!answer.ok) throw new Error(text || `refused with status ${answer.status}`);
  return text;
}
