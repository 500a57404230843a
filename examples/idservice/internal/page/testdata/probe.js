// Plays the page of the id service.
"use strict";
(() => {
  const { $, text, texts, until, check, measure, run } = probe;

  run(async () => {
    await until("cards", () => document.querySelectorAll(".card").length === 5);
    await until("live", () => text("#link-text") === "live");
    check("width", innerWidth);
    check("service", text("#service"));
    check("totals", texts(".totals dd"));
    check("states", texts(".card .health"));
    check("workers", texts(".card .worker"));
    check("error", text("[data-node=n4] [data-field=error]"));
    check("took", text("[data-node=n1] [data-field=took]"));
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
    check("texts", texts(".texts code"));
    check("bits", document.querySelectorAll(".bits i").length);
    check("node", text(".part-node dt") + text(".parts .part-node dd"));
    check("overflow", document.documentElement.scrollWidth > innerWidth);
    measure();
    $("#decode [name=text]").value = ` ${texts(".texts code")[3]} `;
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
  });
})();
