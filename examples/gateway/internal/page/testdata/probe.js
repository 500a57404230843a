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
  const texts = (selector) => [...document.querySelectorAll(selector)].map((e) => e.textContent.replace(/\s+/g, " ").trim());
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
      if (walk.currentNode.data.trim() === "" || !element.checkVisibility() || element.tagName === "title") continue;
      const style = getComputedStyle(element);
      const front = rgba(element.closest("svg") ? style.fill : style.color).rgb;
      const [high, low] = [luminance(front), luminance(behind(element))].sort((a, b) => b - a);
      const ratio = (high + 0.05) / (low + 0.05);
      seen++;
      if (ratio < 4.5) report.contrast.push(`${ratio.toFixed(2)} ${walk.currentNode.data.trim().slice(0, 40)}`);
    }
    check("texts measured", seen);
  };

  /** narrow says whether the page is wider than a telephone: it shows itself in a frame. */
  const narrow = async () => {
    const frame = document.createElement("iframe");
    frame.width = "375";
    frame.height = "800";
    frame.srcdoc = document.documentElement.outerHTML.replaceAll(/<script[^>]*><\/script>/g, "");
    const loaded = new Promise((done) => frame.addEventListener("load", done));
    document.body.append(frame);
    await loaded;
    await until("the frame's style", () => frame.contentDocument.styleSheets.length > 0);
    const wide = frame.contentDocument.documentElement.scrollWidth > 375;
    frame.remove();
    return wide;
  };

  const press = (backend, which) => $(`[data-backend=${backend}] [data-do=${which}]`);
  const becomes = (backend, state) => until(`${backend} ${state}`, () => $(`[data-backend=${backend}]`).dataset.state === state);

  const run = async () => {
    await until("rows", () => document.querySelectorAll(".row").length === 4);
    await until("live", () => text("#link-text") === "live");
    check("name", text("#name"));
    check("totals", texts(".totals dd"));
    check("states", texts(".row .health"));
    check("breaker", text("[data-field=breaker]"));
    check("counting", texts("[data-field=counting]"));
    check("fact", text("[data-backend=s1] [data-field=rate]"));
    check("route", texts("#routes tr:first-child > *"));
    check("client", texts("#clients tr:first-child > *"));
    check("audits", [text("#audits .problem"), text("#audits summary")]);
    check("picture", text("#flow-text"));
    await until("a line", () => $("[data-gateway=g1] .line").getAttribute("d").includes("L"));
    await until("events are spoken", () => $("#events").getAttribute("aria-live") === "polite");
    await until("keys", () => $("[name=key]").options.length === 2);

    $("[name=key]").value = "secret";
    $("[name=send]").click();
    await until("an answer", () => document.querySelectorAll(".values li").length === 2);
    check("answer", [...document.querySelectorAll(".values li")].map((e) => [...e.children].map((c) => c.textContent).join(" ")));
    check("limit", text("#answer .hint"));
    measure();
    $("[name=path]").value = "/refuse";
    $("[name=send]").click();
    await until("refusal of the form", () => !$("#try-problem").hidden);
    check("refused send", text("#try-problem"));

    press("s1", "power").click();
    await until("refusal of the pool", () => !$("[data-pool=sources] [data-field=refused]").hidden);
    check("refused kill", text("[data-pool=sources] [data-field=refused]"));
    const start = press("s2", "power");
    start.focus();
    start.click();
    await becomes("s2", "up");
    check("focus stays", document.activeElement === start);
    press("s1", "pace").click();
    await until("slow", () => press("s1", "pace").textContent === "Fast" && !press("s1", "pace").hasAttribute("aria-busy"));
    press("s1", "pace").click();
    await until("fast", () => press("s1", "pace").textContent === "Slow");
    press("s4", "service").click();
    await becomes("s4", "up");
    await until("idle", () => !press("s4", "service").hasAttribute("aria-busy"));
    press("s4", "service").click();
    await becomes("s4", "drained");

    const policy = $("[data-field=policy]");
    policy.value = "round-robin";
    policy.dispatchEvent(new Event("change"));
    await until("policy", () => policy.value === "round-robin" && !policy.hasAttribute("aria-busy"));
    const store = $("[name=store]");
    store.click();
    await until("store down", () => store.textContent === "Start Redis" && !store.hasAttribute("aria-busy"));
    check("alone", text("[data-gateway=g1] [data-field=counting]"));
    store.click();
    await until("store up", () => store.textContent === "Kill Redis");
    check("overflow", [document.documentElement.scrollWidth > innerWidth, await narrow()]);
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
