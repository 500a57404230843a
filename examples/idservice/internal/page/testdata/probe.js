// Runs in the page, before its own scripts, and reports what it saw to the test.
"use strict";
(() => {
  const report = { errors: [], missing: [], checks: {}, contrast: [], dark: matchMedia("(prefers-color-scheme: dark)").matches };
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
  const all = (selector) => [...document.querySelectorAll(selector)].map((e) => e.textContent);
  const text = (selector) => $(selector)?.textContent ?? "";
  const until = async (what, holds) => {
    for (let i = 0; i < 500; i++) {
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
    let seen = 0;
    while (walk.nextNode()) {
      const element = walk.currentNode.parentElement;
      if (walk.currentNode.data.trim() === "" || !element.checkVisibility()) continue;
      const front = rgba(getComputedStyle(element).color).rgb;
      const [high, low] = [luminance(front), luminance(behind(element))].sort((a, b) => b - a);
      const ratio = (high + 0.05) / (low + 0.05);
      seen++;
      if (ratio < 4.5) report.contrast.push(`${ratio.toFixed(2)} ${walk.currentNode.data.trim().slice(0, 40)}`);
    }
    check("texts measured", seen);
  };

  const run = async () => {
    await until("cards", () => document.querySelectorAll(".card").length === 5);
    await until("live", () => text("#link-text") === "live");
    check("width", innerWidth);
    check("service", text("#service"));
    check("totals", all(".totals dd"));
    check("states", all(".card .health"));
    check("workers", all(".card .worker"));
    check("error", text("[data-node=n4] [data-field=error]"));
    check("drift", text("[data-node=n1] [data-field=drift]"));
    const track = $(".lane[data-node=n1] .track");
    check("lane", track.getAttribute("aria-label"));
    const at = (name) => track.querySelector(name).getBoundingClientRect();
    check("in order", at(".clock").right < at(".line.now").left && at(".line.now").left <= at(".last").right && at(".last").right < at(".band").right);
    check("event", text("#events .text"));
    check("freeze of the dead", $("[data-node=n2] [data-do=freeze]").getAttribute("aria-disabled"));
    await until("a sparkline", () => $("[data-node=n1] .spark .line").getAttribute("d").includes("L"));
    await until("events are spoken", () => $("#events").getAttribute("aria-live") === "polite");

    $("#decode [name=get]").click();
    await until("parts", () => document.querySelectorAll(".parts dd").length === 3);
    check("fetched", $("#decode [name=text]").value);
    check("read", text("#decoded .hint"));
    check("texts", all(".texts code"));
    check("bits", document.querySelectorAll(".bits i").length);
    check("node", text(".part-node dt") + text(".parts .part-node dd"));
    check("overflow", document.documentElement.scrollWidth > innerWidth);
    measure();
    $("#decode [name=text]").value = ` ${all(".texts code")[3]} `;
    $("#decode [name=decode]").click();
    await until("read again", () => text("#decoded .hint") !== "Read as plain.");
    check("read again", text("#decoded .hint"));
    $("#decode [name=text]").value = "no/../id?";
    $("#decode [name=decode]").click();
    await until("refusal of the form", () => !$("#decode-problem").hidden);
    check("refused id", text("#decode-problem").slice(0, 20));

    $("[data-node=n2] [data-do=freeze]").click(); // is off: must not be posted
    $(".card[data-node=n1] [data-do=power]").click();
    await until("refusal of the card", () => !$(".card[data-node=n1] [data-field=refused]").hidden);
    check("refused kill", text(".card[data-node=n1] [data-field=refused]"));
    const start = $(".card[data-node=n2] [data-do=power]");
    start.focus();
    start.click();
    await until("n2 serves", () => text("[data-node=n2] [data-field=state]") === "serving");
    check("focus stays", document.activeElement === start);
    $(".card[data-node=n3] [data-do=freeze]").click();
    await until("n3 serves", () => text("[data-node=n3] [data-field=state]") === "serving");
    for (const name of ["step", "right"]) {
      const button = $(`.card[data-node=n1] [data-do=${name}]`);
      button.click();
      await until(name, () => button.getAttribute("aria-busy") === null);
    }
  };

  addEventListener("load", async () => {
    try {
      await run();
    } catch (err) {
      report.errors.push(String(err.stack));
    }
    report.missing = [...missing];
    await fetch("report", { method: "POST", body: JSON.stringify(report) });
  });
})();
