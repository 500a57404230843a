// Plays the dashboard of the store.
"use strict";
(() => {
  const { $, text, texts, until, check, measure, run } = probe;

  run(async () => {
    await until("cards", () => document.querySelectorAll(".card").length === 4);
    await until("live", () => text("#link-text") === "live");
    check("cluster", text("#cluster"));
    check("totals", texts(".totals dd"));
    check("states", texts(".card .health"));
    check("error", text("[data-node=n2] [data-field=error]"));
    check("hints", text("[data-node=n1] [data-field=hints]"));
    check("peers", text("[data-node=n1] [data-field=peers]").replace(/\s+/g, " ").trim());
    check("ring", texts("#hub text"));
    check("arcs", document.querySelectorAll("#arcs .slice").length);
    check("cut of a dead node is off", $("[data-node=n2] [data-do=link]").getAttribute("aria-disabled"));
    await until("a sparkline", () => $("[data-node=n1] .line").getAttribute("d").includes("L"));
    await until("events are spoken", () => $("#events").getAttribute("aria-live") === "polite");

    $("[name=get]").click();
    await until("siblings", () => document.querySelectorAll(".values li").length === 2);
    check("siblings", texts(".values code"));
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
  });
})();
