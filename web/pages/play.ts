// The player page: reads its URL, runs one session, draws what it says.
import { element, startControls } from "./player/controls.ts";
import { noticeFor } from "./player/notice.ts";
import { parseParams, type Params } from "./player/params.ts";
import { Session } from "./player/session.ts";

/** What tests (and the curious) may read at `window.weirPlayer`. */
interface WeirPlayer {
  readonly id: string | null;
  readonly state: string;
  readonly detail: string;
  readonly currentTime: number;
  readonly paused: boolean;
  readonly muted: boolean;
  readonly latencyS: number | null;
  readonly width: number;
  readonly height: number;
  readonly droppedFrames: number;
  readonly totalFrames: number;
  readonly fatalErrors: number;
  readonly stalls: number;
  readonly restarts: number;
  readonly mediaRecoveries: number;
  readonly reloads: number;
  readonly plays: number;
  readonly faults: readonly string[];
  readonly notes: readonly string[];
}

declare global {
  interface Window {
    weirPlayer: WeirPlayer;
  }
}

function main(): void {
  const params = parseParams(location.search);
  for (const note of params.notes) console.info(`weir: ${note}`);
  if (params.id === null) askForId();
  else watch(params.id, params);
}

function watch(id: string, params: Params): void {
  const video = element<HTMLVideoElement>("video");
  document.title = `${id} · Weir`;
  element("title").textContent = id;
  const session = new Session(video, id, params, () => draw(session, id));
  startControls(video, session, params.notes);
  window.weirPlayer = expose(video, session, id, params);
  draw(session, id);
  session.start();
}

function draw(session: Session, id: string): void {
  const player = element("player");
  player.dataset.phase = session.phase;
  const bare = session.engineState() === null;
  player.toggleAttribute("data-bare", bare);
  element("big-play").hidden = session.phase !== "ready";
  const notice = noticeFor(session.phase, id, session.detail);
  const box = element("notice");
  box.classList.toggle("show", notice !== null);
  if (notice === null) return;
  box.classList.toggle("over-picture", notice.overPicture && !bare);
  element("spinner").className = { turning: "spinner", calm: "spinner calm", none: "spinner still" }[notice.spinner];
  element("notice-title").textContent = notice.title;
  element("notice-text").textContent = notice.text;
}

function askForId(): void {
  element("player").setAttribute("data-bare", "");
  element("notice").classList.add("show");
  element("spinner").className = "spinner still";
  element("notice-title").textContent = "Which stream?";
  element("notice-text").textContent = "The address names no stream: it should end in play.html?id=…";
  element("ask").hidden = false;
  element("ask-id").focus();
}

function expose(video: HTMLVideoElement, session: Session, id: string, params: Params): WeirPlayer {
  const quality = (): VideoPlaybackQuality => video.getVideoPlaybackQuality();
  return {
    id,
    get state() { return session.phase; },
    get detail() { return session.detail; },
    get currentTime() { return video.currentTime; },
    get paused() { return video.paused; },
    get muted() { return video.muted; },
    get latencyS() { return session.engineState()?.latencyS ?? null; },
    get width() { return video.videoWidth; },
    get height() { return video.videoHeight; },
    get droppedFrames() { return quality().droppedVideoFrames; },
    get totalFrames() { return quality().totalVideoFrames; },
    get fatalErrors() { return session.totals.fatalErrors; },
    get stalls() { return session.totals.stalls; },
    get restarts() { return session.totals.restarts; },
    get mediaRecoveries() { return session.totals.mediaRecoveries; },
    get reloads() { return session.totals.reloads; },
    get plays() { return session.totals.plays; },
    get faults() { return session.faults; },
    notes: params.notes,
  };
}

main();
