// The words for each phase of a viewing. Pure.
import type { Phase } from "./session.ts";

/** What the page says over (or instead of) the picture; `null` = nothing. */
export interface Notice {
  title: string;
  text: string;
  spinner: "turning" | "calm" | "none";
  /** The last picture stays to be seen beneath. */
  overPicture: boolean;
}

/** The notice for a phase; `id` is the stream's, `detail` more to say. */
export function noticeFor(phase: Phase, id: string, detail: string): Notice | null {
  const say = (title: string, text: string, spinner: Notice["spinner"], overPicture = false): Notice => ({ title, text, spinner, overPicture });
  switch (phase) {
    case "playing":
    case "ready":
      return null;
    case "looking":
      return say("Looking for the stream", "", "turning");
    case "starting":
      return say("Starting", "", "turning");
    case "stalled":
      return say("", "", "turning", true);
    case "offline":
      return say("Stream is offline", `Waiting for “${id}”. Playback starts by itself when it goes live.`, "calm");
    case "ended":
      return say("Stream has ended", "Playback starts by itself if it goes live again.", "calm");
    case "signal-lost":
      return say("Signal lost", "Waiting for the broadcaster to come back…", "calm", true);
    case "recovering":
      return say("Reconnecting", "", "turning", true);
    case "unreachable":
      return say("Can’t reach the server", `Trying again. ${detail}`.trim(), "calm");
    case "denied":
      return say("Not allowed", "This stream needs a valid token, and the one given was refused.", "none");
    case "unsupported":
      return say("This browser can’t play the stream", "It has neither Media Source Extensions nor HLS of its own.", "none");
  }
}
