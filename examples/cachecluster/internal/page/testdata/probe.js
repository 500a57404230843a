// Plays the page of the cache cluster.
"use strict";
(() => {
  const { $, text, texts, until, check, measure, run } = probe;

  run(async () => {
    await until("cards", () => document.querySelectorAll(".card").length === 5);
    await until("live", () => text("#link-text") === "live");
    check("width", innerWidth);
    check("name", text("#name"));
    check("totals", texts(".totals dd"));
    check("states", texts(".card .health"));
    check("roles", texts(".card .role"));
    check("memory", text("[data-node=n1] [data-field=memory]"));
    check("ratio", text("[data-node=n1] [data-field=ratio]"));
    check("strip", $("#strip").getAttribute("aria-label"));
    check("runs", document.querySelectorAll("#strip rect").length);
    check("owners", text("#owners li"));
    check("bars", texts(".bars .value"));
    check("event", text("#events .text"));
    check("move of a replica", $("[data-node=n4] [data-do=move]").getAttribute("aria-disabled"));
    await until("a sparkline", () => $("[data-node=n1] .spark .line").getAttribute("d").includes("L"));
    await until("events are spoken", () => $("#events").getAttribute("aria-live") === "polite");
    check("overflow", document.documentElement.scrollWidth > innerWidth);
    measure();

    const command = async (line) => {
      $("#run [name=command]").value = line;
      $("#run [name=send]").click();
      await until(line, () => $("#run [name=send]").getAttribute("aria-busy") === null);
    };
    await command("INCR x");
    await command("FLY");
    check("refused command", text("#run-problem"));

    $("[data-node=n4] [data-do=move]").click(); // is off: must not be posted
    $(".card[data-node=n1] [data-do=power]").click();
    await until("refusal of the card", () => !$(".card[data-node=n1] [data-field=refused]").hidden);
    check("refused kill", text(".card[data-node=n1] [data-field=refused]"));
    const move = $(".card[data-node=n1] [data-do=move]");
    move.click();
    await until("move", () => move.getAttribute("aria-busy") === null);
    const power = $(".card[data-node=n2] [data-do=power]");
    power.focus();
    power.click();
    await until("n2 is down", () => text("[data-node=n2] [data-field=state]") === "down");
    check("focus stays", document.activeElement === power);
    power.click();
    await until("start", () => power.getAttribute("aria-busy") === null);
  });
})();
