// Drives the built player page in a real browser against real live HLS: offline, live, encoder killed and back,
// server faults, a clean end, live again. One page goes through all of it, as a viewer's does.
//
// Needs `npm run build`, ffmpeg and chromium (CHROMIUM names another binary).
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { launch } from "./browser.mjs";
import { removeStream, startEncoder } from "./encoder.mjs";
import { startServer } from "./server.mjs";

const DIST = join(dirname(fileURLToPath(import.meta.url)), "../../dist");
/** No step of a viewing takes longer than this, ms. */
const STEP_MS = 45_000;

const folder = mkdtempSync(join(tmpdir(), "weir-player-"));
let server, browser, page, encoder;
const consoleErrors = [];

before(async () => {
  server = await startServer(DIST, folder);
  browser = await launch();
  page = await browser.newPage({ viewport: { width: 960, height: 540 } });
  // A headless browser lets every page play with sound; a viewer's wants a click first.
  await page.addInitScript(() => {
    let clicked = false;
    addEventListener("pointerdown", () => (clicked = true), true);
    const play = HTMLMediaElement.prototype.play;
    HTMLMediaElement.prototype.play = function (...none) {
      const refused = !this.muted && !clicked;
      return refused ? Promise.reject(new DOMException("a click first", "NotAllowedError")) : play.apply(this, none);
    };
  });
  page.on("pageerror", (error) => consoleErrors.push(String(error)));
  page.on("console", (message) => message.text().includes("Content Security Policy") && consoleErrors.push(message.text()));
});

after(async () => {
  await encoder?.kill();
  await browser?.close();
  server?.close();
  rmSync(folder, { recursive: true, force: true });
});

const player = () => page.evaluate(() => Object.fromEntries(Object.entries(Object.getOwnPropertyDescriptors(window.weirPlayer)).map(([name]) => [name, window.weirPlayer[name]])));
const phase = (name) => page.waitForFunction((wanted) => window.weirPlayer?.state === wanted, name, { timeout: STEP_MS });

/** Waits until playback has gone on by some seconds from where it is. */
async function plays(seconds = 3) {
  await phase("playing");
  const from = (await player()).currentTime;
  await page.waitForFunction((to) => window.weirPlayer.state === "playing" && window.weirPlayer.currentTime > to, from + seconds, { timeout: STEP_MS });
}

async function shot(name) {
  if (process.env.SCREENSHOTS) await page.screenshot({ path: join(process.env.SCREENSHOTS, `${name}.png`) });
}

test("a stream that is not there is waited for, with the probes of Ant Media's player", async () => {
  await page.goto(`${server.url}/LiveApp/play.html?id=cam&token=t1`);
  await phase("offline");
  await shot("offline");
  assert.match(await page.textContent("#notice-title"), /offline/i);
  const probes = server.requests.filter((line) => line.includes("/streams/"));
  assert.deepEqual(probes.slice(0, 2), ["HEAD /LiveApp/streams/cam_adaptive.m3u8?token=t1", "HEAD /LiveApp/streams/cam.m3u8?token=t1"]);
});

test("it starts by itself when it goes live, silent because the browser wants a click for sound", async () => {
  encoder = startEncoder(folder, "cam");
  await plays();
  const state = await player();
  assert.equal(state.fatalErrors, 0, state.faults.join());
  assert.deepEqual([state.width, state.height], [640, 360]);
  assert.equal(state.muted, true);
  assert.ok(await page.isVisible("#unmute"));
  await shot("muted");
  await page.click("#unmute");
  assert.equal((await player()).muted, false);
  const playlists = server.requests.filter((line) => line.includes(".m3u8"));
  assert.ok(playlists.every((line) => line.includes("token=t1")), "every playlist is asked for with the token");
  assert.ok(!server.requests.some((line) => line.includes(".m4s?")), "no segment carries it");
});

test("the statistics show and hide", async () => {
  await page.keyboard.press("i");
  await page.waitForFunction(() => document.getElementById("stats").textContent.includes("640 × 360"), null, { timeout: STEP_MS });
  await plays(1);
  await shot("stats");
  await page.keyboard.press("i");
  assert.ok(await page.isHidden("#stats"));
});

test("an encoder that is killed and comes back is followed without a fault", async () => {
  await encoder.kill();
  await phase("signal-lost");
  await shot("signal-lost");
  encoder = startEncoder(folder, "cam");
  await plays();
  const state = await player();
  assert.equal(state.fatalErrors, 0, state.faults.join());
  assert.equal(state.plays, 1, "the same playback went on");
});

test("a server that fails for a while is outlived", async () => {
  server.state.fault = (path) => (path.includes("/streams/") ? 503 : null);
  await page.waitForFunction(() => window.weirPlayer.state === "unreachable", null, { timeout: STEP_MS });
  await shot("unreachable");
  server.state.fault = null;
  await plays();
  assert.ok((await player()).reloads > 0);
});

test("a clean end says so, also after its files are gone", async () => {
  await encoder.end();
  await phase("ended");
  await shot("ended");
  removeStream(folder);
  const before = server.requests.length;
  await page.waitForFunction(() => document.visibilityState === "visible");
  await new Promise((done) => {
    const look = setInterval(() => server.requests.length > before + 3 && (clearInterval(look), done()), 200);
  });
  assert.equal((await player()).state, "ended");
});

test("a new publish after the end plays by itself", async () => {
  encoder = startEncoder(folder, "cam");
  await plays();
  await shot("again");
});

test("pause holds, live goes to the edge", async () => {
  await page.mouse.move(400, 300);
  await page.click("#toggle");
  assert.equal((await player()).paused, true);
  await page.click("#live");
  await plays(1);
});

test("autoplay=false waits for a click", async () => {
  await page.goto(`${server.url}/LiveApp/play.html?id=cam&autoplay=false&playOrder=webrtc,hls`);
  await phase("ready");
  await shot("ready");
  assert.equal((await player()).plays, 0);
  assert.match((await player()).notes[0], /webrtc/);
  await page.click("#big-play");
  await plays(1);
});

test("without an id the page asks for one", async () => {
  await page.goto(`${server.url}/LiveApp/play.html`);
  await shot("ask");
  await page.fill("#ask-id", "cam");
  await page.click("#ask button");
  await plays(1);
});

test("it fits a phone", async () => {
  await page.setViewportSize({ width: 390, height: 844 });
  await plays(1);
  await page.mouse.move(200, 400);
  await shot("phone");
  const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth || document.querySelector(".bar").scrollWidth > innerWidth);
  assert.equal(wide, false);
});

test("no script error and no blocked resource in all of it", () => assert.deepEqual(consoleErrors, []));
