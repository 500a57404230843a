// Plays the page of suggestions.
"use strict";
(() => {
  const { $, $$, text, texts, until, check, measure, run } = probe;

  /** type enters a text a key at a time, without a pause. */
  const type = (value) => {
    const field = $("#query");
    field.focus();
    for (let n = 1; n <= value.length; n++) {
      field.value = value.slice(0, n);
      field.dispatchEvent(new InputEvent("input"));
    }
  };
  const press = (key) => $("#query").dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  const open = () => !$("#suggestions").hidden;
  const options = () => texts("#suggestions .text");

  run(async () => {
    await until("cards", () => $$(".card").length === 2);
    await until("live", () => text("#link-text") === "live");
    check("figures", texts(".totals dd"));
    check("nodes", texts(".card .health"));
    check("error", text("[data-node=n2] [data-field=error]"));
    check("ranges", texts("#ranges .who"));
    await until("events are spoken", () => $("#events").getAttribute("aria-live") === "polite");

    type("str");
    await until("suggestions", open);
    check("options", options());
    check("highlighted", texts("#suggestions mark"));
    check("scores", texts("#suggestions .score"));
    press("ArrowDown");
    const field = $("#query");
    check("field after down", [field.value, field.getAttribute("aria-activedescendant"), $("#option-0").getAttribute("aria-selected")]);
    check("roles", [field.getAttribute("role"), $("#suggestions").getAttribute("role"), $("#option-0").getAttribute("role"),
      field.getAttribute("aria-expanded"), field.getAttribute("aria-autocomplete")]);
    measure();
    check("overflow", document.documentElement.scrollWidth > innerWidth);
    press("ArrowUp");
    check("field after wrap", [field.value, field.getAttribute("aria-activedescendant") ?? "none"]);
    press("ArrowDown");
    press("Escape");
    check("after escape", [field.value, field.getAttribute("aria-expanded"), $("#suggestions").hidden]);

    type("slow");
    await new Promise((done) => setTimeout(done, 300)); // it is asked for, and not answered
    type("str");
    await until("what was asked for last", open);
    check("list after stale", options());
    check("focus", document.activeElement.id);

    $("#user").value = "ada";
    press("ArrowDown");
    press("ArrowDown");
    $("#find").requestSubmit(); // what Enter does in a form
    await until("counted", () => text("#said").includes("strings.Builder"));
    type("str");
    await until("suggestions again", open);
    $("#option-0").dispatchEvent(new PointerEvent("pointerdown", { bubbles: true, cancelable: true }));
    $("#option-0 .text").click();
    await until("picked with the pointer", () => text("#said").includes("“String”"));
    type("something new");
    $("#find").requestSubmit();
    await until("searched", () => text("#said").includes("something new"));

    type("stir");
    await until("near", () => open() && options()[0] === "string");
    check("near", text("#said").replace(/, after [\d.]+ ms; /, ", "));
    check("near highlighted", $$("#suggestions mark").length);
    type("bad");
    await until("refusal", () => !$("#find-problem").hidden);
    check("refused", text("#find-problem"));

    $("[data-node=n2] [data-do=power]").click();
    await until("n2 up", () => text("[data-node=n2] [data-field=state]") === "up");
    $("[data-node=n1] [data-do=power]").click();
    await until("refusal of the card", () => !$("[data-node=n1] [data-field=refused]").hidden);
    check("refused kill", text("[data-node=n1] [data-field=refused]"));
    $("#rebuild").click();
    await until("refusal of the build", () => !$("#generation-problem").hidden);
    check("refused rebuild", text("#generation-problem"));
    $("#rollback").click();
    await until("rolled back", () => $("#generation-problem").hidden);
    $("#trends button").click();
    check("trend in the box", field.value);

    check("elements of terms", $$("#suggestions img, #trends img, #events .text b:not(:first-child), #said img").length);
    check("title", document.title);
  });
})();
