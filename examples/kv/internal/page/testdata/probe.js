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
      const style = getComputedStyle(element);
      const front = rgba(element.closest("svg") ? style.fill : style.color).rgb;
      const [high, low] = [luminance(front), luminance(behind(element))].sort((a, b) => b - a);
      const ratio = (high + 0.05) / (low + 0.05);
      seen++;
      if (ratio < 4.5) report.contrast.push(`${ratio.toFixed(2)} ${walk.currentNode.data.trim().slice(0, 40)}`);
    }
    check("texts measured", seen);
  };

  const run = async () => {
    await until("cards", () => document.querySelectorAll(".card").length === 4);
    await until("live", () => text("#link-text") === "live");
    check("cluster", text("#cluster"));
    check("totals", [...document.querySelectorAll(".totals dd")].map((e) => e.textContent));
    check("states", [...document.querySelectorAll(".card .health")].map((e) => e.textContent));
    check("error", text("[data-node=n2] [data-field=error]"));
    check("hints", text("[data-node=n1] [data-field=hints]"));
    check("peers", text("[data-node=n1] [data-field=peers]").replace(/\s+/g, " ").trim());
    check("ring", [...document.querySelectorAll("#hub text")].map((e) => e.textContent));
    check("arcs", document.querySelectorAll("#arcs .slice").length);
    check("cut of a dead node is off", $("[data-node=n2] [data-do=link]").getAttribute("aria-disabled"));
    await until("a sparkline", () => $("[data-node=n1] .line").getAttribute("d").includes("L"));
    await until("events are spoken", () => $("#events").getAttribute("aria-live") === "polite");

    $("[name=get]").click();
    await until("siblings", () => document.querySelectorAll(".values li").length === 2);
    check("siblings", [...document.querySelectorAll(".values code")].map((e) => e.textContent));
    measure();
    $(".values button").click();
    await until("resolved", () => text("#answer b") === "resolve");
    $("[name=value]").value = "a new value";
    $("[name=put]").click();
    await until("put", () => text("#answer b") === "put");
    $("[name=key]").value = "refuse";
    $("[name=put]").click();
    await until("refusal of the form", () => !$("#ask-problem").hidden);
    check("refused put", text("#ask-problem"));

    $("[data-node=n2] [data-do=link]").click(); // is off: must not be posted
    $("[data-node=n1] [data-do=power]").click();
    await until("refusal of the card", () => !$("[data-node=n1] [data-field=refused]").hidden);
    check("refused kill", text("[data-node=n1] [data-field=refused]"));
    const start = $("[data-node=n2] [data-do=power]");
    start.focus();
    start.click();
    await until("n2 up", () => text("[data-node=n2] [data-field=state]") === "up");
    check("focus stays", document.activeElement === start);
    $("[data-node=n3] [data-do=link]").click();
    await until("healed", () => text("[data-node=n3] [data-field=state]") === "up");
    $("[data-node=n3] [data-do=link]").click();
    await until("cut again", () => text("[data-node=n3] [data-field=state]") === "cut");

    $("#arcs [tabindex='0']").focus();
    document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowLeft", bubbles: true }));
    await until("the last partition", () => text("#hub text") === "Partition 7");
    check("owners marked", [...document.querySelectorAll(".card.owner")].map((e) => e.dataset.node));
    check("spoken", document.activeElement.getAttribute("aria-label"));
    check("overflow", document.documentElement.scrollWidth > innerWidth);
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
