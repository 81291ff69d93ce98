// The control bar: buttons, keys, hiding when idle. Draws from the video element and the session.
import { aheadS, type Session } from "./session.ts";
import { bitrate, percent, seconds } from "../format.ts";

/** Controls hide after so long without a movement, ms. */
const IDLE_MS = 3_000;
/** The bar and the statistics are redrawn so often, ms. */
const DRAW_MS = 500;
/** This much later than the live position still counts as live, seconds. */
const LIVE_SLACK_S = 6;

const ICONS = {
  play: "M8 5.2v13.6L19 12z",
  pause: "M7 5h3.6v14H7zM13.400 5H17v14h-3.600z",
  sound: "M4 9.500v5h3.500L12 18.600V5.400L7.500 9.500zM14.200 8.200a4.500 4.500 0 0 1 0 7.600l-.9-1.300a3 3 0 0 0 0-5zM16.400 5a8 8 0 0 1 0 14l-.8-1.400a6.400 6.400 0 0 0 0-11.200z",
  silent: "M4 9.500v5h3.500L12 18.600V5.400L7.500 9.500zM20.600 9.500l-1.100-1.100-2.400 2.500-2.500-2.500-1.100 1.100 2.500 2.500-2.500 2.400 1.100 1.100 2.500-2.400 2.400 2.400 1.100-1.100-2.400-2.400z",
  info: "M5 19V10h3.400v9zM10.300 19V5h3.400v14zM15.600 19v-6H19v6z",
  pip: "M4 5h16v14H4zM5.800 6.800v10.400h12.400V6.800zM11.500 11.500h5.500v4.300h-5.500z",
  full: "M4 9.500V4h5.500v2H6v3.500zM14.500 4H20v5.500h-2V6h-3.500zM6 14.500V18h3.500v2H4v-5.500zM18 14.500h2V20h-5.500v-2H18z",
} as const;

/** The element with this id; the page and this script are built together, so that it is there. */
export function element<T extends HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no #${id}`);
  return found as T;
}

/** Brings the control bar to life. */
export function startControls(video: HTMLVideoElement, session: Session, notes: string[]): void {
  const player = element("player");
  for (const [id, icon] of [["info", "info"], ["pip", "pip"], ["full", "full"]] as const) setIcon(element(id), icon);
  wireButtons(player, video, session);
  wireKeys(player, video, session);
  hideWhenIdle(player, video);
  const draw = (): void => {
    drawBar(video, session);
    if (!element("stats").hidden) drawStats(video, session, notes);
  };
  for (const event of ["play", "pause", "volumechange", "playing", "resize"]) video.addEventListener(event, draw);
  element("info").addEventListener("click", draw);
  setInterval(draw, DRAW_MS);
  draw();
}

function setIcon(button: HTMLElement, icon: keyof typeof ICONS): void {
  if (button.dataset.icon === icon) return;
  button.dataset.icon = icon;
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", ICONS[icon]);
  svg.append(path);
  button.replaceChildren(svg);
}

function togglePlay(video: HTMLVideoElement, session: Session): void {
  if (video.paused) session.wantPlay();
  else video.pause();
}

function unmute(video: HTMLVideoElement, session: Session): void {
  session.mutedByBrowser = false;
  video.muted = false;
  if (video.volume === 0) video.volume = 1;
}

function wireButtons(player: HTMLElement, video: HTMLVideoElement, session: Session): void {
  const on = (id: string, act: () => void): void => element(id).addEventListener("click", act);
  on("toggle", () => togglePlay(video, session));
  on("big-play", () => session.wantPlay());
  on("unmute", () => unmute(video, session));
  on("mute", () => (video.muted ? unmute(video, session) : (video.muted = true)));
  on("live", () => session.goLive());
  on("full", () => toggleFull(player, video));
  on("info", () => toggleStats());
  const volume = element<HTMLInputElement>("volume");
  volume.addEventListener("input", () => {
    video.volume = volume.valueAsNumber;
    video.muted = volume.valueAsNumber === 0;
    session.mutedByBrowser = false;
  });
  const pip = element("pip");
  pip.hidden = !document.pictureInPictureEnabled;
  on("pip", () => {
    const asked = document.pictureInPictureElement ? document.exitPictureInPicture() : video.requestPictureInPicture();
    Promise.resolve(asked).catch(() => undefined);
  });
}

function wireKeys(player: HTMLElement, video: HTMLVideoElement, session: Session): void {
  document.addEventListener("keydown", (event) => {
    const typing = event.target instanceof HTMLInputElement;
    const onButton = event.target instanceof HTMLButtonElement && (event.key === " " || event.key === "Enter");
    if (typing || onButton || event.ctrlKey || event.metaKey || event.altKey) return;
    const acts: Record<string, () => void> = {
      " ": () => togglePlay(video, session),
      k: () => togglePlay(video, session),
      m: () => (video.muted ? unmute(video, session) : (video.muted = true)),
      f: () => toggleFull(player, video),
      i: toggleStats,
      l: () => session.goLive(),
    };
    const act = acts[event.key.toLowerCase()];
    if (!act) return;
    event.preventDefault();
    act();
  });
}

function toggleStats(): void {
  const stats = element("stats");
  stats.hidden = !stats.hidden;
  element("info").setAttribute("aria-pressed", String(!stats.hidden));
}

/** Full screen; an iPhone grants it to the video element alone. */
function toggleFull(player: HTMLElement, video: HTMLVideoElement & { webkitEnterFullscreen?: () => void }): void {
  const asked = document.fullscreenElement
    ? document.exitFullscreen()
    : player.requestFullscreen
      ? player.requestFullscreen()
      : video.webkitEnterFullscreen?.();
  Promise.resolve(asked).catch(() => undefined);
}

function hideWhenIdle(player: HTMLElement, video: HTMLVideoElement): void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const awake = (): void => {
    player.classList.remove("idle");
    clearTimeout(timer);
    timer = setTimeout(() => {
      const focused = document.activeElement?.closest(".bar")?.querySelector(":focus-visible");
      if (!video.paused && !focused) player.classList.add("idle");
    }, IDLE_MS);
  };
  for (const event of ["pointermove", "pointerdown", "keydown", "focusin"]) document.addEventListener(event, awake);
  video.addEventListener("pause", awake);
  video.addEventListener("playing", awake);
  video.addEventListener("dblclick", () => element("full").click());
  awake();
}

function drawBar(video: HTMLVideoElement, session: Session): void {
  const toggle = element("toggle");
  setIcon(toggle, video.paused ? "play" : "pause");
  toggle.setAttribute("aria-label", video.paused ? "Play" : "Pause");
  const silent = video.muted || video.volume === 0;
  const mute = element("mute");
  setIcon(mute, silent ? "silent" : "sound");
  mute.setAttribute("aria-label", silent ? "Unmute" : "Mute");
  element<HTMLInputElement>("volume").valueAsNumber = silent ? 0 : video.volume;
  const state = session.engineState();
  const live = state?.livePositionS ?? null;
  const atLive = live !== null && !video.paused && video.currentTime > live - LIVE_SLACK_S;
  element("live").classList.toggle("on", atLive && session.phase === "playing");
  element("live").hidden = live === null;
  element("latency").textContent = state?.latencyS == null ? "" : seconds(state.latencyS);
  element("size").textContent = video.videoHeight > 0 ? `${video.videoHeight}p` : "";
  element("unmute").hidden = !(session.mutedByBrowser && video.muted && session.phase === "playing");
  element("big-play").hidden = session.phase !== "ready";
}

function drawStats(video: HTMLVideoElement, session: Session, notes: string[]): void {
  const state = session.engineState();
  const quality = video.getVideoPlaybackQuality();
  const { totals } = session;
  const rows: [string, string][] = [
    ["Resolution", video.videoWidth > 0 ? `${video.videoWidth} × ${video.videoHeight}` : "–"],
    ["Latency", seconds(state?.latencyS ?? null)],
    ["Buffer", seconds(aheadS(video))],
    ["Dropped frames", `${quality.droppedVideoFrames} of ${quality.totalVideoFrames} (${percent(quality.droppedVideoFrames, quality.totalVideoFrames)})`],
    ["Bandwidth", bitrate(state?.bandwidthBps ?? 0)],
    ["Codecs", state?.codecs || "–"],
    ["Stalls · reconnects", `${totals.stalls} · ${totals.restarts + totals.mediaRecoveries + totals.reloads}`],
    ["Player", state?.name ?? "–"],
    ...notes.map((note): [string, string] => ["Note", note]),
  ];
  element("stats-list").replaceChildren(
    ...rows.flatMap(([name, value]) => {
      const term = document.createElement("dt");
      const words = document.createElement("dd");
      term.textContent = name;
      words.textContent = value;
      return [term, words];
    }),
  );
}
