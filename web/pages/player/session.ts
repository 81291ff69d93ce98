// The life of one viewing: look for the stream, play it, cure what breaks, wait when it is away, begin again when
// it is back. Owns the video element's source; everything seen on the page is drawn from `view()`.
import { play, startEngine, type Engine, type EngineState } from "./engine.ts";
import type { Params } from "./params.ts";
import { probe, type Found } from "./probe.ts";
import { pollPause, Recovery, type Cure, type Fault } from "./recovery.ts";
import { Watchdog, type Verdict } from "./watchdog.ts";

/** How often playback is looked at, ms. */
const TICK_MS = 500;
/** A stream just begun is given so long to gather some media before it is played, looked at so often, ms. */
const GATHER_MAX_MS = 8_000;
const GATHER_POLL_MS = 500;
/** Refused viewers ask again this often at most, ms. */
const DENIED_PAUSE_MS = 10_000;
/** Faults kept for the tests and the curious. */
const FAULTS_KEPT = 50;

/** Where a viewing stands. */
export type Phase =
  | "looking" // first look
  | "offline" // no such stream now
  | "unreachable" // the server does not answer
  | "denied" // the server refuses
  | "ready" // live, waits for a click
  | "starting" // live, no picture yet
  | "playing"
  | "stalled" // short of media
  | "signal-lost" // the encoder is away
  | "recovering"
  | "ended"
  | "unsupported";

/** Counters since the page was opened. */
export interface Totals {
  /** Faults that hls.js or the browser called fatal. */
  fatalErrors: number;
  /** Cures of each kind. */
  restarts: number;
  mediaRecoveries: number;
  reloads: number;
  /** Times playback stood still long enough to show. */
  stalls: number;
  /** Playbacks begun. */
  plays: number;
}

/** One viewing of one stream. */
export class Session {
  phase: Phase = "looking";
  /** Words for the phase, when there is more to say. */
  detail = "";
  readonly totals: Totals = { fatalErrors: 0, restarts: 0, mediaRecoveries: 0, reloads: 0, stalls: 0, plays: 0 };
  readonly faults: string[] = [];
  /** The browser let us start only without sound. */
  mutedByBrowser = false;

  private engine: Engine | null = null;
  private readonly recovery = new Recovery(Math.random);
  private watchdog = new Watchdog();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private waitingSinceMs: number | null = null;
  private clicked: boolean;
  /** Grows with every new look or play, so that answers to old questions are dropped. */
  private turn = 0;
  /** A cure is chosen and waits for its time. */
  private curePending = false;
  private recording = false;
  private gatheringSinceMs: number | null = null;
  private lastPositionS = 0;

  constructor(
    private readonly video: HTMLVideoElement,
    private readonly id: string,
    private readonly params: Params,
    private readonly changed: () => void,
  ) {
    this.clicked = params.autoplay;
    video.muted = params.mute === true;
    video.addEventListener("playing", () => this.engine && this.enter("playing"));
    video.addEventListener("ended", () => this.engine && this.over());
    setInterval(() => this.tick(), TICK_MS);
    window.addEventListener("online", () => this.waitingSinceMs !== null && this.look(0));
  }

  /** Looks for the stream and goes on from what is found. */
  start(): void {
    this.look(0);
  }

  /** A viewer asked for playback. */
  wantPlay(): void {
    this.clicked = true;
    if (this.engine !== null) play(this.video);
    else if (this.phase === "ready") this.look(0);
    else if (this.recording) {
      this.enter("looking");
      this.look(0);
    }
  }

  /** Goes to where live is. */
  goLive(): void {
    const live = this.engine?.state().livePositionS;
    if (live != null && live > this.video.currentTime) this.video.currentTime = live;
    this.wantPlay();
  }

  /** The engine's state, while there is one. */
  engineState(): EngineState | null {
    return this.engine?.state() ?? null;
  }

  private enter(phase: Phase, detail = ""): void {
    if (phase === "playing") this.waitingSinceMs = null;
    if (phase === "stalled" && this.phase === "playing") this.totals.stalls += 1;
    if (this.phase === phase && this.detail === detail) return;
    this.phase = phase;
    this.detail = detail;
    this.changed();
  }

  private look(delayMs: number): void {
    const turn = ++this.turn;
    clearTimeout(this.timer);
    this.timer = setTimeout(async () => {
      const found = await probe(this.id, this.params.accessQuery, document.baseURI, (...ask) => fetch(...ask));
      if (turn === this.turn) this.found(found);
    }, delayMs);
  }

  private found(found: Found): void {
    switch (found.kind) {
      case "live":
      case "recording":
        this.recording = found.kind === "recording";
        if (!this.clicked) {
          this.enter("ready");
          return this.lookAgain();
        }
        if (found.kind === "live" && !found.ample && this.gathers()) return this.look(GATHER_POLL_MS);
        return this.begin(found.url);
      case "ended":
        this.enter("ended");
        return this.lookAgain();
      case "offline":
        // Said once that it ended, that stays said until it is back.
        if (this.phase !== "ended") this.enter("offline");
        return this.lookAgain();
      case "denied":
        this.enter("denied", `HTTP ${found.status}`);
        return this.look(DENIED_PAUSE_MS);
      case "unreachable":
        this.enter("unreachable", found.reason);
        return this.lookAgain();
    }
  }

  /** True while a stream just begun should gather more media before it is played. */
  private gathers(): boolean {
    this.gatheringSinceMs ??= performance.now();
    if (performance.now() - this.gatheringSinceMs > GATHER_MAX_MS) return false;
    this.enter("starting");
    return true;
  }

  private lookAgain(): void {
    this.waitingSinceMs ??= performance.now();
    this.look(pollPause(performance.now() - this.waitingSinceMs, Math.random()));
  }

  private begin(url: string): void {
    this.stop();
    this.enter(this.phase === "recovering" ? "recovering" : "starting");
    this.totals.plays += 1;
    this.gatheringSinceMs = null;
    this.watchdog = new Watchdog();
    this.engine = startEngine(
      this.video,
      { url, accessQuery: this.params.accessQuery, targetLatencyS: this.params.targetLatencyS },
      {
        fatal: (words) => {
          this.totals.fatalErrors += 1;
          this.faults.splice(0, this.faults.length - FAULTS_KEPT + 1);
          this.faults.push(words);
        },
        fault: (fault, words) => this.cure(fault, words),
      },
    );
    if (this.engine === null) this.enter("unsupported");
    else void this.playOrMute();
  }

  /** Plays with sound if the browser allows, else without. */
  private async playOrMute(): Promise<void> {
    const refused = (error: unknown): boolean => error instanceof DOMException && error.name === "NotAllowedError";
    try {
      await this.video.play();
    } catch (error) {
      if (!refused(error)) return;
      this.mutedByBrowser = !this.video.muted;
      this.video.muted = true;
      await this.video.play().catch((again: unknown) => refused(again) && this.enter("ready"));
      this.changed();
    }
  }

  private cure(fault: Fault, words: string): void {
    const cure = this.recovery.next(fault, performance.now());
    this.enter("recovering", words);
    this.curePending = true;
    const turn = ++this.turn;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => turn === this.turn && this.apply(cure), cure.delayMs);
  }

  private apply(cure: Cure): void {
    this.curePending = false;
    switch (cure.action) {
      case "restart-loading":
        this.totals.restarts += 1;
        this.engine?.restartLoading();
        return;
      case "recover-media":
        this.totals.mediaRecoveries += 1;
        this.engine?.recoverMedia();
        return;
      case "reload":
        this.totals.reloads += 1;
        this.stop();
        this.look(0);
        return;
    }
  }

  private tick(): void {
    if (this.engine === null || this.curePending) return;
    const state = this.engine.state();
    const { currentTime, duration, paused } = this.video;
    const moves = !paused && currentTime > this.lastPositionS;
    this.lastPositionS = currentTime;
    const verdict = this.watchdog.judge({
      nowMs: performance.now(),
      wanted: !paused,
      positionS: currentTime,
      leftS: Number.isFinite(duration) ? duration - currentTime : Infinity,
      aheadS: aheadS(this.video),
      playlistVersion: state.playlistVersion,
      playlistEnded: state.playlistEnded,
    });
    this.act(verdict, moves);
  }

  private act(verdict: Verdict, moves: boolean): void {
    switch (verdict) {
      case "over":
        return this.over();
      case "stalled":
        // Before the first picture there is nothing that could stand still.
        if (this.phase === "playing") this.enter("stalled");
        return;
      case "signal-lost":
        return this.enter("signal-lost");
      case "stuck":
        return this.cure("media", "stands still on buffered media");
      case "starved":
        return this.cure("other", "the playlist goes on, no media comes");
      case "fine":
        if (moves) this.enter("playing");
    }
  }

  private over(): void {
    this.stop();
    this.enter("ended");
    if (!this.recording) this.lookAgain();
  }

  private stop(): void {
    this.turn += 1;
    this.curePending = false;
    clearTimeout(this.timer);
    this.engine?.destroy();
    this.engine = null;
  }
}

/** Media buffered after the position, seconds. */
export function aheadS(video: HTMLVideoElement): number {
  const { buffered, currentTime } = video;
  for (let i = 0; i < buffered.length; i += 1) {
    if (buffered.start(i) <= currentTime + 0.1 && currentTime < buffered.end(i)) return buffered.end(i) - currentTime;
  }
  return 0;
}
