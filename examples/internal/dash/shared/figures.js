// How figures are written.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const time = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

/** count writes a number: 12,345. */
export function count(n) {
  return whole.format(n);
}

/** plural writes a number and its noun: 1 sibling, 2 siblings. */
export function plural(n, noun) {
  return `${count(n)} ${noun}${n === 1 ? "" : "s"}`;
}

/** rate writes a number per second: a fraction only where it says something. */
export function rate(n) {
  return n > 0 && n < 10 ? n.toFixed(1) : count(n);
}

/** digits writes a measured number with about three digits. */
export function digits(n) {
  if (n >= 100) return count(n);
  return n >= 10 ? n.toFixed(1) : n.toFixed(2);
}

/** bytes writes a size: 812 B, 1.24 MiB. */
export function bytes(n) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  for (; n >= 1000 && unit < units.length - 1; unit++) n /= 1024;
  return `${unit === 0 ? count(n) : digits(n)} ${units[unit]}`;
}

/** millis writes a duration of milliseconds: 0.50 ms, 1.50 s. */
export function millis(n) {
  if (n === 0) return "–";
  return n >= 1000 ? `${(n / 1000).toFixed(2)} s` : `${digits(n)} ms`;
}

/** percent writes a ratio: 93.4 %. */
export function percent(ratio) {
  return `${(100 * ratio).toFixed(1)} %`;
}

/** clock writes the time of day of what JSON carries. */
export function clock(at) {
  return time.format(new Date(at));
}
