// Decides what to do when playback breaks: the mildest cure first, a bounded number of them in a span of time,
// then everything anew after a growing pause. Pure: the time is handed in.

/** A cure that did not help is not tried again within this span, ms; quiet for so long forgets the past. */
const SPAN_MS = 30_000;
/** Tries of each mild cure within a span. */
const RESTARTS_MAX = 3;
const MEDIA_RECOVERIES_MAX = 2;
/** The pause before starting anew: first, and longest, ms. */
const RELOAD_PAUSE_MS = 1_000;
const RELOAD_PAUSE_MAX_MS = 10_000;
/** Waiting for a stream: how often to look, ms, at first and after a minute. */
const POLL_MS = 2_000;
const POLL_LATER_MS = 4_000;
const POLL_LATER_AFTER_MS = 60_000;
/** Pauses are spread by this share up and down, so that viewers do not come back in step. */
const SPREAD = 0.25;

/** What broke. */
export type Fault = "network" | "gone" | "media" | "other";

/** What to do about it, and when. */
export interface Cure {
  action: "restart-loading" | "recover-media" | "reload";
  delayMs: number;
}

/** Remembers past faults and picks the next cure. */
export class Recovery {
  private restarts: number[] = [];
  private recoveries: number[] = [];
  private reloads: number[] = [];

  /** `random` gives numbers in [0, 1). */
  constructor(private readonly random: () => number) {}

  /** The cure for a fault at `nowMs`. */
  next(fault: Fault, nowMs: number): Cure {
    const recent = (times: number[]): number[] => times.filter((time) => nowMs - time < SPAN_MS);
    this.restarts = recent(this.restarts);
    this.recoveries = recent(this.recoveries);
    if (fault === "network" && this.restarts.length < RESTARTS_MAX) {
      const delayMs = 500 * 2 ** this.restarts.length;
      this.restarts.push(nowMs);
      return { action: "restart-loading", delayMs };
    }
    if (fault === "media" && this.recoveries.length < MEDIA_RECOVERIES_MAX) {
      this.recoveries.push(nowMs);
      return { action: "recover-media", delayMs: 0 };
    }
    return { action: "reload", delayMs: this.reloadPause(nowMs) };
  }

  private reloadPause(nowMs: number): number {
    const last = this.reloads[this.reloads.length - 1];
    if (last !== undefined && nowMs - last > SPAN_MS) this.reloads = [];
    const pause = Math.min(RELOAD_PAUSE_MAX_MS, RELOAD_PAUSE_MS * 2 ** this.reloads.length);
    this.reloads = [...this.reloads.slice(-8), nowMs];
    this.restarts = [];
    this.recoveries = [];
    return spread(pause, this.random());
  }
}

/** How long to wait before looking again for a stream looked for since `sinceMs`. */
export function pollPause(waitedMs: number, random: number): number {
  return spread(waitedMs < POLL_LATER_AFTER_MS ? POLL_MS : POLL_LATER_MS, random);
}

function spread(pauseMs: number, random: number): number {
  return Math.round(pauseMs * (1 - SPREAD + 2 * SPREAD * random));
}
