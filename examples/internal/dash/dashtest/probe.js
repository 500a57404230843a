// Runs in a page before anything else, and gives testdata/probe.js what it looks with:
// globalThis.probe. What both saw is reported to the test.
"use strict";
globalThis.probe = (() => {
  const report = { errors: [], missing: [], checks: {}, contrast: [], texts: 0, width: 0, dark: matchMedia("(prefers-color-scheme: dark)").matches };
  const missing = new Set();

  addEventListener("error", (ev) => report.errors.push(String(ev.message || ev.target?.outerHTML)), true);
  addEventListener("unhandledrejection", (ev) => report.errors.push(String(ev.reason)));
  addEventListener("securitypolicyviolation", (ev) => report.errors.push(`policy: ${ev.violatedDirective} ${ev.blockedURI}`));
  for (const level of ["error", "warn"]) console[level] = (...all) => report.errors.push(all.join(" "));

  // Whatever JSON brings notices when it is asked for what it does not have.
  const parse = JSON.parse;
  const watch = (value, path) => {
    if (typeof value !== "object" || value === null) return value;
    return new Proxy(value, {
      get(target, name) {
        if (typeof name === "string" && name !== "toJSON" && !Array.isArray(target) && !(name in target)) missing.add(`${path}.${name}`);
        return watch(Reflect.get(target, name), `${path}.${String(name).replace(/^\d+$/, "0")}`);
      },
    });
  };
  JSON.parse = (text) => watch(parse(text), "state");

  const $ = (selector) => document.querySelector(selector);
  const text = (selector) => $(selector)?.textContent ?? "";
  const $$ = (selector) => [...document.querySelectorAll(selector)];
  const texts = (selector) => $$(selector).map((e) => e.textContent);
  const until = async (what, holds) => {
    for (let i = 0; i < 1000; i++) {
      if (holds()) return;
      await new Promise((done) => setTimeout(done, 10));
    }
    throw new Error(`never came: ${what}`);
  };
  const check = (name, value) => (report.checks[name] = value);

  /** rgba reads a computed colour. */
  const rgba = (colour) => {
    const [r, g, b, a = 1] = colour.match(/[\d.]+/g).map(Number);
    return { rgb: [r, g, b], a };
  };
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = rgba(getComputedStyle(e).backgroundColor);
      if (colour.a === 1) return colour.rgb;
    }
    return [255, 255, 255];
  };
  /** measure finds every text that is too faint for what is behind it (WCAG 1.4.3). */
  const measure = () => {
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) {
      const element = walk.currentNode.parentElement;
      if (walk.currentNode.data.trim() === "" || !element.checkVisibility() || element.tagName === "title") continue;
      const style = getComputedStyle(element);
      const front = rgba(element.closest("svg") ? style.fill : style.color).rgb;
      const [high, low] = [luminance(front), luminance(behind(element))].sort((a, b) => b - a);
      const ratio = (high + 0.05) / (low + 0.05);
      report.texts++;
      if (ratio < 4.5) report.contrast.push(`${ratio.toFixed(2)} ${walk.currentNode.data.trim().slice(0, 40)}`);
    }
  };

  /** run plays the page once it is loaded, and reports. */
  const run = (play) => addEventListener("load", async () => {
    try {
      await play();
    } catch (err) {
      report.errors.push(String(err.stack));
    }
    report.missing = [...missing];
    report.width = innerWidth;
    await fetch("report", { method: "POST", body: JSON.stringify(report) });
  });
  return { $, $$, text, texts, until, check, measure, run };
})();
