// What a play.html URL asks for. Names and meanings are those of Ant Media's player page.

/** Techniques this page can play with, in the order it prefers them. */
const TECHNIQUES = ["hls"] as const;
/** The bounds of `targetLatency`, seconds: under them a segment is not yet there, over them it is not live. */
const TARGET_LATENCY_MIN_S = 1;
const TARGET_LATENCY_MAX_S = 60;
/** The longest stream id looked up; the server's own limit is lower. */
const ID_CHARS_MAX = 256;

/** A checked request. */
export interface Params {
  /** The stream; `null` when the URL names none that could exist. */
  id: string | null;
  /** Start without a click. */
  autoplay: boolean;
  /** True: start silent; false: start with sound where the browser lets us; null: not said, like false. */
  mute: boolean | null;
  /** How far behind live to play, seconds; `null` = the player's own choice. */
  targetLatencyS: number | null;
  /** What the URL asks for and this page does not do, in words. */
  notes: string[];
  /** Query that playlists are asked with (`token=…&subscriberId=…`), without "?"; may be empty. */
  accessQuery: string;
}

/** Reads the query of a play.html URL. Never throws. */
export function parseParams(query: string): Params {
  const given = new URLSearchParams(query);
  const notes: string[] = [];
  noteTechniques(given.get("playOrder"), notes);
  const playType = given.get("playType");
  if (playType) notes.push(`playType=${playType} applies to recordings; this page plays live streams`);
  return {
    id: streamId(given.get("id") ?? given.get("name")),
    autoplay: flag(given.get("autoplay")) ?? true,
    mute: flag(given.get("mute")),
    targetLatencyS: latency(given.get("targetLatency"), notes),
    notes,
    accessQuery: accessQuery(given),
  };
}

/** Adds the access query to a playlist's URL. */
export function withAccess(url: string, accessQuery: string): string {
  if (!accessQuery) return url;
  return url + (url.includes("?") ? "&" : "?") + accessQuery;
}

/** The stream's playlists in the order they are probed, relative to the application's root. */
export function playlistUrls(id: string): string[] {
  const path = id.split("/").map(encodeURIComponent).join("/");
  return [`streams/${path}_adaptive.m3u8`, `streams/${path}.m3u8`];
}

function streamId(text: string | null): string | null {
  const id = (text ?? "").trim();
  if (id === "" || id.length > ID_CHARS_MAX) return null;
  const parts = id.split("/");
  return parts.some((part) => part === "" || part.startsWith(".")) ? null : id;
}

function flag(text: string | null): boolean | null {
  if (text === null) return null;
  return !["false", "0", "no", "off"].includes(text.trim().toLowerCase());
}

function latency(text: string | null, notes: string[]): number | null {
  if (text === null || text.trim() === "") return null;
  const seconds = Number(text);
  if (!Number.isFinite(seconds)) {
    notes.push(`targetLatency=${text} is not a number of seconds`);
    return null;
  }
  return Math.min(TARGET_LATENCY_MAX_S, Math.max(TARGET_LATENCY_MIN_S, seconds));
}

function noteTechniques(text: string | null, notes: string[]): void {
  const known: readonly string[] = TECHNIQUES;
  const asked = (text ?? "").split(",").map((name) => name.trim().toLowerCase()).filter(Boolean);
  const skipped = asked.filter((name) => !known.includes(name));
  if (skipped.length > 0) notes.push(`playOrder: ${skipped.join(", ")} not available here; playing ${TECHNIQUES[0]}`);
}

function accessQuery(given: URLSearchParams): string {
  const kept = new URLSearchParams();
  for (const name of ["token", "subscriberId", "subscriberCode"]) {
    const value = given.get(name);
    if (value) kept.set(name, value);
  }
  return kept.toString();
}
