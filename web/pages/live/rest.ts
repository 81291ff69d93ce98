// What the stream list asks the server. Shapes follow Ant Media's REST v2; only what is used is named.

/** A request may take so long, ms. */
const REQUEST_TIMEOUT_MS = 5_000;

/** A stream. */
export interface Broadcast {
  streamId: string;
  name: string | null;
  status: string;
  startTime: number;
  bitrate: number;
  width: number;
  height: number;
  publishType: string | null;
  hlsViewerCount?: number;
  webRTCViewerCount?: number;
  dashViewerCount?: number;
}

/** A stream and the application it is in. */
export interface LiveStream extends Broadcast {
  app: string;
}

/** A node of the cluster. */
export interface ClusterNode {
  id: string;
  ip: string;
  role?: string;
  status: string;
  cpu: string;
  memory: string;
  dbQueryAveargeTimeMs: number;
  lastUpdateTime: number;
  version?: string;
}

/** The node that serves the page. */
export interface NodeInfo {
  id: string;
  version: string;
  apps: string[];
  /** Where encoders publish, when it is not where the page came from. */
  rtmpHost: string | null;
  rtmpPort: number;
  nowMs: number;
}

/** The node that serves the page. */
export function nodeInfo(): Promise<NodeInfo> {
  return ask<NodeInfo>("rest/v2/weir/node");
}

/** What this browser may know of the cluster. */
export interface LiveList {
  streams: LiveStream[];
  nodes: ClusterNode[];
  /** Applications whose filter keeps their list from this browser. */
  hidden: { app: string; reason: string }[];
}

/** What is live, or about to be, in the applications that tell this browser; and the nodes. */
export async function liveList(): Promise<LiveList> {
  const list = await ask<LiveList>("rest/v2/weir/live");
  return { ...list, streams: onAir(list.streams) };
}

/** Live ones first, then those about to be; each by name. */
export function onAir(streams: LiveStream[]): LiveStream[] {
  const rank = (stream: LiveStream): number => ["broadcasting", "preparing"].indexOf(stream.status);
  const key = (stream: LiveStream): string => `${rank(stream)}/${stream.app}/${stream.streamId}`;
  return streams.filter((stream) => rank(stream) >= 0).sort((a, b) => (key(a) < key(b) ? -1 : 1));
}

async function ask<T>(path: string): Promise<T> {
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(), REQUEST_TIMEOUT_MS);
  try {
    const answer = await fetch(path, { cache: "no-store", signal: deadline.signal });
    if (!answer.ok) throw new Error(`${path}: HTTP ${answer.status}`);
    return (await answer.json()) as T;
  } finally {
    clearTimeout(timer);
  }
}
