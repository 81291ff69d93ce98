// Finds out whether a stream can be watched now: the HEAD probes of Ant Media's player, then a look into the
// playlist, because one that has ended stays served for a while and must not be mistaken for a live one.
import { playlistUrls, withAccess } from "./params.ts";

/** How long one request may take, ms. */
const REQUEST_TIMEOUT_MS = 8_000;
/** The longest playlist looked into, characters. */
const PLAYLIST_CHARS_MAX = 1_000_000;
/** A stream just begun is ample once its playlist holds so many target durations. */
const AMPLE_TARGET_DURATIONS = 2;

/** What a probe found. */
export type Found =
  | { kind: "live"; url: string; /** Enough media is there to play without a stall at once. */ ample: boolean }
  /** A recording: complete, and declared so. */
  | { kind: "recording"; url: string }
  /** Was live, is over. */
  | { kind: "ended" }
  /** No such stream now. */
  | { kind: "offline" }
  /** The server refused us. */
  | { kind: "denied"; status: number }
  /** The server did not answer, or with a fault of its own. */
  | { kind: "unreachable"; reason: string };

/** What can be read off a playlist without playing it. */
export interface Peek {
  /** The first variant's URI when this is a multivariant playlist. */
  variant: string | null;
  ended: boolean;
  /** EXT-X-PLAYLIST-TYPE: its presence marks a recording. */
  type: string | null;
  segments: number;
  /** Sum of the segments' durations, seconds. */
  durationS: number;
  /** EXT-X-TARGETDURATION, seconds. */
  targetDurationS: number;
}

/** Asks for a stream's playlists in order. Never throws. */
export async function probe(id: string, accessQuery: string, base: string, get: typeof fetch): Promise<Found> {
  try {
    for (const path of playlistUrls(id)) {
      const url = new URL(withAccess(path, accessQuery), base).href;
      const answer = await ask(get, url, "HEAD");
      if (answer.ok) return await look(get, url, accessQuery);
      if (answer.status === 401 || answer.status === 403) return { kind: "denied", status: answer.status };
      if (answer.status >= 500) return { kind: "unreachable", reason: `HTTP ${answer.status}` };
    }
    return { kind: "offline" };
  } catch (error) {
    return { kind: "unreachable", reason: error instanceof Error ? error.message : String(error) };
  }
}

/** Reads a playlist's outline; lines it does not know are passed over. */
export function peek(playlist: string): Peek {
  const found: Peek = { variant: null, ended: false, type: null, segments: 0, durationS: 0, targetDurationS: 0 };
  let variantNext = false;
  for (const raw of playlist.slice(0, PLAYLIST_CHARS_MAX).split("\n")) {
    const line = raw.trim();
    if (line === "#EXT-X-ENDLIST") found.ended = true;
    else if (line.startsWith("#EXT-X-PLAYLIST-TYPE:")) found.type = line.slice(21);
    else if (line.startsWith("#EXT-X-TARGETDURATION:")) found.targetDurationS = Number.parseFloat(line.slice(22)) || 0;
    else if (line.startsWith("#EXTINF:")) found.durationS += Number.parseFloat(line.slice(8)) || 0;
    else if (line.startsWith("#EXT-X-STREAM-INF:")) variantNext = true;
    else if (line !== "" && !line.startsWith("#")) {
      if (variantNext && found.variant === null) found.variant = line;
      if (!variantNext) found.segments += 1;
      variantNext = false;
    }
  }
  return found;
}

async function look(get: typeof fetch, url: string, accessQuery: string): Promise<Found> {
  let outline = await read(get, url);
  if (outline?.variant) outline = await read(get, new URL(withAccess(outline.variant, accessQuery), url).href);
  if (!outline) return { kind: "offline" };
  if (!outline.ended) {
    return { kind: "live", url, ample: outline.durationS >= AMPLE_TARGET_DURATIONS * outline.targetDurationS };
  }
  return outline.type ? { kind: "recording", url } : { kind: "ended" };
}

async function read(get: typeof fetch, url: string): Promise<Peek | null> {
  const answer = await ask(get, url, "GET");
  if (answer.status >= 500) throw new Error(`HTTP ${answer.status}`);
  return answer.ok ? peek(await answer.text()) : null;
}

async function ask(get: typeof fetch, url: string, method: "HEAD" | "GET"): Promise<Response> {
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(new Error("no answer in time")), REQUEST_TIMEOUT_MS);
  try {
    return await get(url, { method, cache: "no-store", signal: deadline.signal });
  } finally {
    clearTimeout(timer);
  }
}
