// The picture: requests come in at the gateways, some are refused, and the rest spreads
// over the backends. It is drawn anew with each state; nothing in it can have the focus.

import { svg, write } from "./dash/elements.js";
import { rate } from "./dash/figures.js";

const WIDTH = 400;
const WIDEST = 26; // of a line, for all requests
const HUB = { x: 196, half: 30 };

export class Flow {
  constructor(picture, text) {
    this.picture = picture;
    this.text = text;
    this.layer = svg("g", { "aria-hidden": "true" });
    picture.append(this.layer);
  }

  draw(state) {
    const gateways = state.gateways ?? [];
    const pools = state.pools ?? [];
    const backends = pools.flatMap((pool) => (pool.backends ?? []).map((backend) => [pool, backend]));
    const limited = state.totals.limited;
    const total = Math.max(1, state.totals.rate, backends.reduce((sum, [, backend]) => sum + backend.rate, 0));
    const wide = (n) => (n > 0 ? Math.max(1.2, (n / total) * WIDEST) : 0.8);
    const step = 36;
    const height = Math.max(170, backends.length * step + 50);
    this.picture.setAttribute("viewBox", `0 0 ${WIDTH} ${height}`);
    const middle = height / 2;
    const parts = [];
    const line = (kind, x1, y1, x2, y2, n) => {
      const bend = (x2 - x1) / 2;
      parts.push(svg("path", { class: `stream ${kind}${n > 0 ? "" : " idle"}`, d: `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`, "stroke-width": wide(n).toFixed(2) }));
    };
    const label = (kind, x, y, anchor, text) => parts.push(svg("text", { class: kind, x, y, "text-anchor": anchor }, text));

    gateways.forEach((gateway, i) => {
      const y = middle + (i - (gateways.length - 1) / 2) * 64;
      line("in", 62, y, HUB.x - HUB.half, middle, gateway.rate);
      parts.push(svg("circle", { class: gateway.down ? "station alone" : "station", cx: 46, cy: y, r: 17 }));
      label("name", 46, y + 4.5, "middle", gateway.id);
      label("quiet", 46, y + 33, "middle", `${rate(gateway.rate)}/s`);
    });
    line("refused", HUB.x + HUB.half, middle, WIDTH - 106, height - 16, limited);
    label(limited > 0 ? "quiet bad" : "quiet", WIDTH - 100, height - 11, "start", `refused ${rate(limited)}/s`);
    backends.forEach(([, backend], i) => {
      const y = 18 + i * step + (height - 50 - backends.length * step) / 2;
      line("out", HUB.x + HUB.half, middle, WIDTH - 106, y, backend.rate);
      parts.push(svg("g", { "data-state": backend.state, class: "health", transform: `translate(${WIDTH - 92} ${y})` },
        svg("use", { href: `#icon-${backend.state}`, x: -9, y: -9, width: 18, height: 18 })));
      label("name", WIDTH - 78, y + 4.5, "start", backend.id);
      label("quiet", WIDTH - 4, y + 4.5, "end", `${rate(backend.rate)}/s`);
    });
    parts.push(svg("rect", { class: "station", x: HUB.x - HUB.half, y: middle - 24, width: 2 * HUB.half, height: 48, rx: 8 }));
    label("name", HUB.x, middle - 2, "middle", "limits");
    label("quiet", HUB.x, middle + 15, "middle", `${rate(state.totals.rate)}/s`);
    this.layer.replaceChildren(...parts);
    write(this.text, `${gateways.length} gateways, ${rate(state.totals.rate)} requests a second, ${rate(limited)} refused; ` +
      backends.map(([, backend]) => `${backend.id} ${backend.state} ${rate(backend.rate)}`).join(", "));
  }
}
