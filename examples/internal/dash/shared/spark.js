// Sparklines: the last minute or so of one figure of each card.

import { mark } from "./elements.js";
import { plural, rate } from "./figures.js";

const SAMPLES = 60; // the picture is 118 wide and 30 high: two for each sample after the first

export class Spark {
  /** what says what is drawn: requests per second. */
  constructor(picture, what) {
    this.picture = picture;
    this.what = what;
    this.samples = [];
  }

  /** add takes what a state says; compare draws it. */
  add(n) {
    this.samples.push(n);
    if (this.samples.length > SAMPLES) this.samples.shift();
  }

  draw(peak) {
    // New samples come in at the right end, so that a short history does not stretch.
    const first = (SAMPLES - this.samples.length) * 2;
    const points = this.samples.map((n, i) => `${first + i * 2} ${(29 - (n / peak) * 28).toFixed(1)}`);
    this.picture.querySelector(".line").setAttribute("d", `M${points.join("L")}`);
    this.picture.querySelector(".area").setAttribute("d", `M${first} 30L${points.join("L")}L118 30z`);
    mark(this.picture, "aria-label", `${this.what}, the last ${plural(this.samples.length, "sample")}, highest ${rate(Math.max(...this.samples))}`);
  }
}

/** compare draws sparklines on one scale: they are there to be compared. */
export function compare(sparks) {
  const peak = Math.max(1, ...sparks.flatMap((spark) => spark.samples));
  for (const spark of sparks) spark.draw(peak);
}
