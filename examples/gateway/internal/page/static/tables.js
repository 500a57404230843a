// Routes, clients, and what became of the rules.

import { html, write } from "./dash/elements.js";
import { clock, count, millis, plural, rate } from "./dash/figures.js";

/** table keeps rows of texts; numbers stand right, and bad says which cells are to worry about. */
function table(body, rows, bad) {
  while (body.rows.length > rows.length) body.deleteRow(-1);
  rows.forEach((cells, i) => {
    const row = body.rows[i] ?? body.insertRow();
    cells.forEach((text, j) => {
      const cell = row.cells[j] ?? row.appendChild(j === 0 ? html("th", { scope: "row" }) : html("td"));
      write(cell, text);
      cell.className = body.closest("table").tHead.rows[0].cells[j].className;
      if (bad(i, j)) cell.classList.add("bad");
    });
  });
}

export class Tables {
  constructor(routes, clients, audits) {
    this.routes = routes;
    this.clients = clients;
    this.audits = audits;
    this.drawn = "";
  }

  draw(state) {
    const routes = state.routes ?? [];
    table(this.routes, routes.map((route) => [
      `${route.name} ${route.pattern}`, route.pool, count(route.cost), rate(route.rate), millis(route.p99),
      count(route.limited), count(route.failed), count(route.cached),
    ]), (i, j) => j === 6 && routes[i].failed > 0);
    const clients = state.clients ?? [];
    table(this.clients, clients.map((client) => [
      client.name, client.tier || "–", count(client.admitted), count(client.refused), `${count(client.left)} of ${client.limit || "none"}`,
    ]), (i, j) => j === 3 && clients[i].refused > 0);
    this.drawAudits(state.audits ?? []);
  }

  drawAudits(audits) {
    const key = JSON.stringify(audits);
    if (key === this.drawn) return;
    this.drawn = key;
    this.audits.replaceChildren(...audits.toReversed().map((audit) => {
      const changes = audit.changes ?? [];
      const what = audit.error ? html("span", { class: "text problem" }, `refused: ${audit.error}`)
        : html("details", { class: "text" }, html("summary", {}, plural(changes.length, "change")),
          ...changes.map((change) => html("p", {}, html("code", {}, change))));
      return html("li", {}, html("time", { datetime: audit.at }, clock(audit.at)), html("span", { class: "kind" }, audit.by), what);
    }));
  }
}
