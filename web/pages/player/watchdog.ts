// Notices playback that stands still without an error: told once a second how things are, it says what that
// means. A stream whose playlist stands still is the encoder's doing and is waited for; a stream that goes on
// while we stand still is ours to cure. Pure: the time is handed in.

/** Standing still this long shows, ms. */
const STALL_SHOWN_MS = 1_500;
/** Standing still this long with no news in the playlist: the encoder is silent, there is nothing to cure, ms. */
const SIGNAL_LOST_MS = 4_000;
/** Standing still on media that is there is cured after this long, ms. */
const STUCK_ON_DATA_MS = 5_000;
/** Standing still with nothing to play while the playlist moves on is cured after this long, ms. */
const STARVED_MS = 12_000;
/** Media ahead that should be enough to play, seconds. */
const ENOUGH_AHEAD_S = 1;
/** Standing still with so little left of an ended playlist is the end, seconds. */
const END_SLACK_S = 1;

/** How things are. */
export interface Sample {
  nowMs: number;
  /** Somebody wants it to play. */
  wanted: boolean;
  positionS: number;
  /** Media buffered after the position, seconds. */
  aheadS: number;
  /** Grows whenever the playlist brings something new. */
  playlistVersion: number;
  /** The playlist says that no more will come. */
  playlistEnded: boolean;
  /** From the position to the end, seconds. */
  leftS: number;
}

/** What it means. */
export type Verdict = "fine" | "stalled" | "signal-lost" | "stuck" | "starved" | "over";

/** Follows one playback. */
export class Watchdog {
  private moved: { positionS: number; atMs: number } | null = null;
  private version: number | null = null;
  /** When the playlist first brought news during the present stall. */
  private newsAtMs: number | null = null;

  /** The verdict on a sample; samples come in order of time. */
  judge(sample: Sample): Verdict {
    const { nowMs, positionS, playlistVersion } = sample;
    const news = this.version !== null && this.version !== playlistVersion;
    this.version = playlistVersion;
    if (this.moved === null || !sample.wanted || Math.abs(this.moved.positionS - positionS) > 0.01) {
      this.restart(sample);
      return "fine";
    }
    // An ended playlist brings no more news; what it names should come.
    if (news || sample.playlistEnded) this.newsAtMs ??= nowMs;
    const stillMs = nowMs - this.moved.atMs;
    if (stillMs < STALL_SHOWN_MS) return "fine";
    if (sample.playlistEnded && sample.leftS < END_SLACK_S) return "over";
    if (sample.aheadS >= ENOUGH_AHEAD_S) return this.after(STUCK_ON_DATA_MS, stillMs, "stuck", sample);
    if (this.newsAtMs === null) return stillMs < SIGNAL_LOST_MS ? "stalled" : "signal-lost";
    return this.after(STARVED_MS, nowMs - this.newsAtMs, "starved", sample);
  }

  /** `verdict` once `sinceMs` reaches `limitMs`; then the count begins anew, to give the cure time. */
  private after(limitMs: number, sinceMs: number, verdict: Verdict, sample: Sample): Verdict {
    if (sinceMs < limitMs) return "stalled";
    this.restart(sample);
    return verdict;
  }

  private restart(sample: Sample): void {
    this.moved = { positionS: sample.positionS, atMs: sample.nowMs };
    this.newsAtMs = null;
  }
}
