// Numbers as people read them.

/** Bits a second: "4.2 Mbit/s". */
export function bitrate(bitsPerSecond: number): string {
  if (!(bitsPerSecond > 0)) return "–";
  if (bitsPerSecond >= 999_500) return `${(bitsPerSecond / 1e6).toFixed(1)} Mbit/s`;
  return `${Math.round(bitsPerSecond / 1e3)} kbit/s`;
}

/** A span: "1:02:03", "4:05". */
export function span(ms: number): string {
  const all = Math.max(0, Math.floor(ms / 1000));
  const two = (value: number): string => String(value).padStart(2, "0");
  const hours = Math.floor(all / 3600);
  const minutes = Math.floor(all / 60) % 60;
  return hours > 0 ? `${hours}:${two(minutes)}:${two(all % 60)}` : `${minutes}:${two(all % 60)}`;
}

/** Seconds with one digit: "3.2 s". */
export function seconds(value: number | null): string {
  return value === null || !Number.isFinite(value) ? "–" : `${value.toFixed(1)} s`;
}

/** A share of a whole: "0.12 %". */
export function percent(part: number, whole: number): string {
  return whole > 0 ? `${((100 * part) / whole).toFixed(2)} %` : "–";
}
