// Draws streams and nodes. Everything from outside goes in as text, never as markup.
import { bitrate, span } from "../format.ts";
import { nodeLevel } from "./health.ts";
import type { ClusterNode, LiveStream } from "./rest.ts";

/** Makes an element with a class and children. */
function make(tag: string, className: string, ...children: (Node | string)[]): HTMLElement {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

/** Brings the cards in `box` in line with `streams`; cards that stay keep their focus. */
export function drawStreams(box: HTMLElement, streams: LiveStream[], nowMs: number): void {
  const old = new Map([...box.children].map((card) => [(card as HTMLElement).dataset.key, card as HTMLElement]));
  streams.forEach((stream, at) => {
    const key = `${stream.app}/${stream.streamId}`;
    const card = old.get(key) ?? newCard(stream, key);
    old.delete(key);
    fillCard(card, stream, nowMs);
    if (box.children[at] !== card) box.insertBefore(card, box.children[at] ?? null);
  });
  for (const card of old.values()) card.remove();
}

function newCard(stream: LiveStream, key: string): HTMLElement {
  const card = document.createElement("a");
  card.className = "card";
  card.dataset.key = key;
  card.href = `${encodeURIComponent(stream.app)}/play.html?id=${encodeURIComponent(stream.streamId)}`;
  const tile = make("div", "tile", make("span", "badge"), playMark(), make("span", "time"));
  tile.style.setProperty("--hue", String(hueOf(key)));
  card.append(tile, make("div", "about", make("div", "name"), make("div", "facts")));
  return card;
}

function fillCard(card: HTMLElement, stream: LiveStream, nowMs: number): void {
  const live = stream.status === "broadcasting";
  const part = (name: string): HTMLElement => card.querySelector<HTMLElement>(`.${name}`) ?? card;
  const badge = part("badge");
  badge.textContent = live ? "LIVE" : "STARTING";
  badge.classList.toggle("soon", !live);
  part("time").textContent = live && stream.startTime > 0 ? span(nowMs - stream.startTime) : "";
  part("name").textContent = stream.name || stream.streamId;
  const viewers = (stream.hlsViewerCount ?? 0) + (stream.webRTCViewerCount ?? 0) + (stream.dashViewerCount ?? 0);
  const facts = [
    stream.app,
    stream.height > 0 ? `${stream.width}×${stream.height}` : "",
    stream.bitrate > 0 ? bitrate(stream.bitrate) : "",
    stream.publishType ?? "",
    viewers > 0 ? `${viewers} watching` : "",
  ].filter(Boolean);
  part("facts").replaceChildren(...facts.map((fact) => make("span", "", fact)));
}

function playMark(): SVGElement {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", "M8 5.2v13.6L19 12z");
  svg.append(path);
  return svg;
}

/** A colour of its own for each stream, the same on each visit. */
function hueOf(key: string): number {
  let hash = 7;
  for (const char of key) hash = (hash * 31 + (char.codePointAt(0) ?? 0)) % 360_007;
  return 160 + (hash % 160);
}

/** Draws the table of nodes. */
export function drawNodes(body: HTMLElement, nodes: ClusterNode[], nowMs: number): void {
  if (nodes.length === 0) {
    const cell = make("td", "none", "No node has reported yet; the first heartbeat takes a few seconds.");
    cell.setAttribute("colspan", "9");
    body.replaceChildren(make("tr", "", cell));
    return;
  }
  body.replaceChildren(
    ...nodes.map((node) => {
      const state = make("span", "state", make("span", "dot"), node.status);
      state.dataset.health = nodeLevel(node);
      const ago = Math.max(0, Math.round((nowMs - node.lastUpdateTime) / 1000));
      const cells = [node.id, node.role ?? "–", node.ip, state, `${node.cpu} %`, `${node.memory} MB`,
        `${node.dbQueryAveargeTimeMs} ms`, node.version ?? "–", `${ago} s ago`];
      return make("tr", "", ...cells.map((cell) => make("td", "", cell)));
    }),
  );
}
