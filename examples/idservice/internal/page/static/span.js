/** span writes a duration of milliseconds with its sign: −2.00 s, +12 ms, 0 ms. */
export function span(ms) {
  const size = Math.abs(ms);
  const sign = ms < 0 ? "−" : "+";
  if (size < 0.5) return "0 ms";
  if (size < 1000) return `${sign}${size.toFixed(0)} ms`;
  if (size < 60_000) return `${sign}${(size / 1000).toFixed(2)} s`;
  if (size < 3_600_000) return `${sign}${(size / 60_000).toFixed(1)} min`;
  return `${sign}${(size / 3_600_000).toFixed(1)} h`;
}
