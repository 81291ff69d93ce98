// The list of live streams: asks the server every few seconds and draws what it says.
import { drawNodes, drawStreams } from "./live/draw.ts";
import { clusterHealth } from "./live/health.ts";
import { idProblem, publishLines } from "./live/publish.ts";
import { liveList, nodeInfo, type NodeInfo } from "./live/rest.ts";

/** How often the server is asked, ms; each answer is waited for before the next question. */
const REFRESH_MS = 3_000;
/** While the page is not seen, ms. */
const REFRESH_HIDDEN_MS = 30_000;

let info: NodeInfo | null = null;
/** Server's clock minus the browser's, ms: ages are told by the server's clock. */
let clockAheadMs = 0;

function element<T extends HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no #${id}`);
  return found as T;
}

async function refresh(): Promise<void> {
  try {
    const asked = await nodeInfo();
    clockAheadMs = asked.nowMs - Date.now();
    if (info?.apps.join() !== asked.apps.join()) fillApps(asked);
    info = asked;
    element("version").textContent = `Weir ${asked.version} · node ${asked.id}`;
    const { streams, nodes, hidden } = await liveList();
    const nowMs = Date.now() + clockAheadMs;
    drawStreams(element("streams"), streams, nowMs);
    drawNodes(element("nodes"), nodes, nowMs);
    element("empty").hidden = streams.length > 0;
    const live = streams.filter((stream) => stream.status === "broadcasting").length;
    element("summary").textContent = live === 0 ? "" : `${live} live stream${live === 1 ? "" : "s"}`;
    const health = clusterHealth(nodes);
    // Who may not see the nodes is answered by one that lives.
    if (nodes.length > 0) setHealth(health.level, health.words);
    else setHealth("ok", "reachable");
    const apps = hidden.map((one) => one.app).join(", ");
    element("banner").textContent = `Not shown to this address: streams of ${apps}. Their setting remoteAllowedCIDR says who may see them; watching is not affected.`;
    element("banner").hidden = hidden.length === 0;
  } catch (error) {
    setHealth("bad", "not reachable");
    const words = error instanceof Error && error.name !== "AbortError" ? error.message : "no answer in time";
    element("banner").textContent = `The server’s store or the server itself cannot be reached; what is shown may be old. Running streams go on. (${words})`;
    element("banner").hidden = false;
  }
}

function setHealth(level: string, words: string): void {
  element("health").dataset.health = level;
  element("health-text").textContent = words;
}

function fillApps(asked: NodeInfo): void {
  const select = element<HTMLSelectElement>("app");
  const chosen = select.value;
  select.replaceChildren(...asked.apps.map((app) => new Option(app, app, false, app === chosen)));
  info = asked;
  drawPublish();
}

function drawPublish(): void {
  const app = element<HTMLSelectElement>("app").value;
  const id = element<HTMLInputElement>("stream").value.trim();
  const problem = idProblem(id);
  const error = element("stream-error");
  error.hidden = problem === null;
  error.textContent = problem;
  if (problem !== null || info === null) return;
  const lines = publishLines(info.rtmpHost ?? location.hostname, info.rtmpPort, app, id);
  element("obs-server").textContent = lines.server;
  element("obs-key").textContent = lines.key;
  element("ffmpeg").textContent = lines.ffmpeg;
  element<HTMLAnchorElement>("watch").href = `${encodeURIComponent(app)}/play.html?id=${encodeURIComponent(id)}`;
}

/** Copies an element's text; without the clipboard's leave (plain HTTP) it is selected instead. */
async function copy(button: HTMLButtonElement): Promise<void> {
  const source = element(button.dataset.copy ?? "");
  try {
    await navigator.clipboard.writeText(source.textContent ?? "");
    button.textContent = "Copied";
  } catch {
    getSelection()?.selectAllChildren(source);
    button.textContent = "Selected";
  }
  setTimeout(() => (button.textContent = "Copy"), 1_500);
}

async function run(): Promise<void> {
  await refresh();
  setTimeout(run, document.hidden ? REFRESH_HIDDEN_MS : REFRESH_MS);
}

element("app").addEventListener("change", drawPublish);
element("stream").addEventListener("input", drawPublish);
for (const button of document.querySelectorAll<HTMLButtonElement>("[data-copy]")) {
  button.addEventListener("click", () => void copy(button));
}
void run();
