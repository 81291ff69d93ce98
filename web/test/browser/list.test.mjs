// Drives the list of live streams in a real browser: empty, live, ended, server away.
import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { launch } from "./browser.mjs";
import { startServer } from "./server.mjs";

const DIST = join(dirname(fileURLToPath(import.meta.url)), "../../dist");
/** No change takes longer to show, ms. */
const STEP_MS = 15_000;
const LIVE = "/rest/v2/weir/live";

let server, browser, page;
const pageErrors = [];

const node = (id, status) => ({ id, ip: "10.0.0.1", role: "edge", status, cpu: "5", memory: "1/2", dbQueryAveargeTimeMs: 1, lastUpdateTime: Date.now(), version: "0.1.0" });
const stream = (app, streamId, status, name = null) => ({ app, streamId, name, status, startTime: Date.now() - 65_000, bitrate: 4_200_000, width: 1920, height: 1080, publishType: "RTMP", hlsViewerCount: 2, webRTCViewerCount: 0, dashViewerCount: 0 });

before(async () => {
  server = await startServer(DIST, "/nonexistent");
  server.state.json = {
    "/rest/v2/weir/node": { id: "n1", version: "0.1.0", apps: ["LiveApp", "live"], rtmpHost: null, rtmpPort: 1936, nowMs: Date.now() },
    [LIVE]: { streams: [], nodes: [node("n1", "alive")], hidden: [] },
  };
  browser = await launch();
  page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  page.on("pageerror", (error) => pageErrors.push(String(error)));
  page.on("console", (message) => message.text().includes("Content Security Policy") && pageErrors.push(message.text()));
  await page.goto(`${server.url}/`);
});

after(async () => {
  await browser?.close();
  server?.close();
});

const shows = (text) => page.waitForFunction((wanted) => document.body.innerText.includes(wanted), text, { timeout: STEP_MS });

test("with nothing live it says how to publish to this very host", async () => {
  await shows("Nothing is live yet");
  await shows("1 node healthy");
  assert.equal(await page.textContent("#obs-server"), "rtmp://127.0.0.1:1936/LiveApp");
  await page.selectOption("#app", "live");
  await page.fill("#stream", "cam7");
  assert.match(await page.textContent("#ffmpeg"), /rtmp:\/\/127\.0\.0\.1:1936\/live\/cam7$/);
  assert.equal(await page.getAttribute("#watch", "href"), "live/play.html?id=cam7");
  await page.fill("#stream", "../x");
  assert.ok(await page.isVisible("#stream-error"));
});

test("a stream that goes live appears by itself, with a link to its player", async () => {
  server.state.json[LIVE].streams = [stream("live", "cam7", "broadcasting", "<b>Stage</b>"), stream("live", "old", "finished")];
  await shows("1920×1080");
  await shows("<b>Stage</b>");
  await shows("2 watching");
  assert.equal(await page.locator(".card").count(), 1, "what is finished is not listed");
  assert.equal(await page.getAttribute(".card", "href"), "live/play.html?id=cam7");
  assert.ok(await page.isHidden("#empty"));
});

test("a card that stays keeps the focus while others come and go", async () => {
  await page.focus(".card");
  server.state.json[LIVE].streams.push(stream("LiveApp", "first", "broadcasting"));
  await shows("first");
  assert.equal(await page.evaluate(() => document.activeElement.dataset.key), "live/cam7");
  server.state.json[LIVE].streams.pop();
  await page.waitForFunction(() => document.querySelectorAll(".card").length === 1, null, { timeout: STEP_MS });
});

test("a dead node and a store that is away are said, and forgotten when they are back", async () => {
  server.state.json[LIVE].nodes = [node("n1", "alive"), node("n2", "dead")];
  await shows("1 of 2 nodes alive");
  server.state.fault = (path) => (path === LIVE ? 503 : null);
  await shows("HTTP 503");
  assert.ok(await page.isVisible("#banner"));
  assert.equal(await page.locator(".card").count(), 1, "what was known stays to be seen");
  server.state.fault = null;
  await page.waitForFunction(() => document.getElementById("banner").hidden, null, { timeout: STEP_MS });
});

test("applications that keep their list from this address are named", async () => {
  server.state.json[LIVE].hidden = [{ app: "live", reason: "address" }];
  await shows("Not shown to this address: streams of live.");
  server.state.json[LIVE].hidden = [];
  await page.waitForFunction(() => document.getElementById("banner").hidden, null, { timeout: STEP_MS });
});

test("no script error and no blocked resource in all of it", () => assert.deepEqual(pageErrors, []));
