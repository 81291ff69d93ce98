// One playback of one URL: hls.js where the browser has Media Source Extensions, the browser's own HLS player
// where it has not (Safari on older iPhones). Tells its owner about faults; cures nothing by itself.
import Hls, { ErrorDetails, ErrorTypes, Events, type ErrorData, type HlsConfig } from "hls.js";
import { withAccess } from "./params.ts";
import type { Fault } from "./recovery.ts";

declare const HLS_WORKER_PATH: string;

/** Behind live by so many target durations, playback jumps back to the edge. */
const BEHIND_TARGET_DURATIONS_MAX = 10;
/** With a wished-for latency: behind by so many times that, playback jumps; and how fast it catches up before. */
const BEHIND_WISH_FACTOR = 4;
const CATCH_UP_RATE = 1.05;
/** Media kept behind and ahead of the position, seconds. */
const BACK_BUFFER_S = 20;
const AHEAD_BUFFER_S = 30;

/** What an engine tells. */
export interface EngineEvents {
  fault(fault: Fault, words: string): void;
  /** A fault of hls.js that it calls fatal, before anything is done about it. */
  fatal(words: string): void;
}

/** How an engine stands. */
export interface EngineState {
  name: string;
  playlistVersion: number;
  playlistEnded: boolean;
  /** Seconds behind the encoder as far as the playlist tells; `null` when unknown. */
  latencyS: number | null;
  /** Where live is, on the element's timeline. */
  livePositionS: number | null;
  bandwidthBps: number;
  codecs: string;
}

/** A playback. */
export interface Engine {
  state(): EngineState;
  restartLoading(): void;
  recoverMedia(): void;
  /** Ends it; the element may be used again. */
  destroy(): void;
}

/** What an engine plays, and how. */
export interface Wish {
  url: string;
  accessQuery: string;
  targetLatencyS: number | null;
}

/** Starts the best engine this browser has; `null` when it has none. */
export function startEngine(video: HTMLVideoElement, wish: Wish, events: EngineEvents): Engine | null {
  if (Hls.isSupported()) return new HlsEngine(video, wish, events);
  if (video.canPlayType("application/vnd.apple.mpegurl")) return new NativeEngine(video, wish, events);
  return null;
}

class HlsEngine implements Engine {
  private readonly hls: Hls;
  private version = 0;
  private newest = -1;
  private ended = false;

  constructor(private readonly video: HTMLVideoElement, wish: Wish, private readonly events: EngineEvents) {
    this.hls = new Hls(config(wish));
    this.hls.on(Events.ERROR, (_, data) => this.onError(data));
    this.hls.on(Events.LEVEL_LOADED, (_, { details }) => {
      if (details.endSN !== this.newest) this.version += 1;
      this.newest = details.endSN;
      this.ended = !details.live;
    });
    this.hls.loadSource(wish.url);
    this.hls.attachMedia(video);
  }

  state(): EngineState {
    const level = this.hls.levels[Math.max(0, this.hls.currentLevel)];
    const live = this.hls.liveSyncPosition;
    return {
      name: `hls.js ${Hls.version}`,
      playlistVersion: this.version,
      playlistEnded: this.ended,
      latencyS: live === null || this.ended ? null : this.hls.latency,
      livePositionS: live,
      bandwidthBps: this.hls.bandwidthEstimate,
      codecs: [level?.videoCodec, this.hls.audioTracks[0]?.audioCodec ?? level?.audioCodec].filter(Boolean).join(", "),
    };
  }

  restartLoading(): void {
    this.hls.startLoad(this.video.currentTime > 0 ? this.video.currentTime : -1);
  }

  recoverMedia(): void {
    this.hls.recoverMediaError();
    play(this.video);
  }

  destroy(): void {
    this.hls.destroy();
  }

  private onError(data: ErrorData): void {
    if (!data.fatal) return;
    const words = data.error?.message ? `${data.details}: ${data.error.message}` : data.details;
    this.events.fatal(words);
    this.events.fault(faultOf(data), words);
  }
}

class NativeEngine implements Engine {
  private readonly onError = (): void => {
    const words = this.video.error?.message || `media error ${this.video.error?.code ?? 0}`;
    this.events.fatal(words);
    this.events.fault("other", words);
  };
  private readonly onProgress = (): void => {
    this.version += 1;
  };
  private version = 0;

  constructor(private readonly video: HTMLVideoElement, wish: Wish, private readonly events: EngineEvents) {
    video.addEventListener("error", this.onError);
    video.addEventListener("progress", this.onProgress);
    video.src = wish.url;
    video.load();
  }

  state(): EngineState {
    const { seekable, duration, currentTime } = this.video;
    const live = seekable.length > 0 && duration === Infinity ? seekable.end(seekable.length - 1) : null;
    return {
      name: "native HLS",
      playlistVersion: this.version,
      playlistEnded: Number.isFinite(duration) && duration > 0,
      latencyS: live === null ? null : live - currentTime,
      livePositionS: live,
      bandwidthBps: 0,
      codecs: "",
    };
  }

  restartLoading(): void {
    this.video.load();
  }

  recoverMedia(): void {
    this.video.load();
    play(this.video);
  }

  destroy(): void {
    this.video.removeEventListener("error", this.onError);
    this.video.removeEventListener("progress", this.onProgress);
    this.video.removeAttribute("src");
    this.video.load();
  }
}

/** Plays; a browser that refuses is asked again by a click. */
export function play(video: HTMLVideoElement): void {
  video.play().catch(() => undefined);
}

function config(wish: Wish): Partial<HlsConfig> {
  const behind: Partial<HlsConfig> =
    wish.targetLatencyS === null
      ? { liveSyncDurationCount: 3, liveMaxLatencyDurationCount: BEHIND_TARGET_DURATIONS_MAX }
      : {
          liveSyncDuration: wish.targetLatencyS,
          liveMaxLatencyDuration: wish.targetLatencyS * BEHIND_WISH_FACTOR,
          maxLiveSyncPlaybackRate: CATCH_UP_RATE,
        };
  return {
    ...behind,
    workerPath: new URL(HLS_WORKER_PATH, document.baseURI).href,
    backBufferLength: BACK_BUFFER_S,
    maxBufferLength: AHEAD_BUFFER_S,
    capLevelToPlayerSize: true,
    // An encoder that is away leaves its playlist as it was: that is waited for, it is no error.
    liveMaxUnchangedPlaylistRefresh: Infinity,
    // The first playlist is asked for with its query already; those it names are not.
    xhrSetup: (xhr, url) => {
      const isPlaylist = new URL(url).pathname.endsWith(".m3u8");
      if (isPlaylist && wish.accessQuery && !url.includes(wish.accessQuery)) {
        xhr.open("GET", withAccess(url, wish.accessQuery), true);
      }
    },
  };
}

function faultOf(data: ErrorData): Fault {
  const status = data.response?.code;
  const manifest = [ErrorDetails.MANIFEST_LOAD_ERROR, ErrorDetails.MANIFEST_LOAD_TIMEOUT, ErrorDetails.MANIFEST_PARSING_ERROR];
  if (manifest.includes(data.details)) return "gone";
  if (data.type === ErrorTypes.NETWORK_ERROR) {
    const playlist = [ErrorDetails.LEVEL_LOAD_ERROR, ErrorDetails.AUDIO_TRACK_LOAD_ERROR].includes(data.details);
    return playlist && (status === 404 || status === 410) ? "gone" : "network";
  }
  return data.type === ErrorTypes.MEDIA_ERROR ? "media" : "other";
}
