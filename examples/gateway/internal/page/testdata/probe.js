// Plays the dashboard of the gateway.
"use strict";
(() => {
  const { $, text, texts, until, check, measure, run } = probe;
  const squeezed = (selector) => texts(selector).map((t) => t.replace(/\s+/g, " ").trim());

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

  run(async () => {
    await until("rows", () => document.querySelectorAll(".row").length === 4);
    await until("live", () => text("#link-text") === "live");
    check("name", text("#name"));
    check("totals", squeezed(".totals dd"));
    check("states", squeezed(".row .health"));
    check("breaker", text("[data-field=breaker]"));
    check("counting", squeezed("[data-field=counting]"));
    check("fact", text("[data-backend=s1] [data-field=rate]"));
    check("route", squeezed("#routes tr:first-child > *"));
    check("client", squeezed("#clients tr:first-child > *"));
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
  });
})();
