// Opens a player page in headless Chromium and tells once a second what the viewer has:
// one JSON object a line on stdout, until stdin closes or SECONDS have passed.
// usage: node watch.mjs URL SECONDS [SCREENSHOT.png]
import { createRequire } from "node:module";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

// playwright-core is a development dependency of web/.
const require = createRequire(new URL("../../web/package.json", import.meta.url));
const { chromium } = require("playwright-core");

const [url, seconds, screenshot] = process.argv.slice(2);
const profile = mkdtempSync(join(tmpdir(), "weir-watch-"));
const browser = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  headless: true,
  viewport: { width: 1280, height: 720 },
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--autoplay-policy=no-user-gesture-required", "--mute-audio",
  ],
});

let closing = false;
process.stdin.on("end", () => { closing = true; });
process.stdin.resume();

const page = browser.pages()[0] ?? (await browser.newPage());
page.on("pageerror", (error) => console.log(JSON.stringify({ pageError: String(error) })));
page.on("request", (request) => {
  const host = new URL(request.url()).hostname;
  if (host && !/^127\.[\d.]+$/.test(host)) console.log(JSON.stringify({ outside: request.url() }));
});
await page.goto(url);

const end = Date.now() + Number(seconds) * 1000;
while (!closing && Date.now() < end) {
  const sample = await page.evaluate(() => {
    const video = document.querySelector("video");
    const quality = video?.getVideoPlaybackQuality?.();
    const player = window.weirPlayer ?? {};
    return {
      atMs: Date.now(),
      currentTime: video?.currentTime ?? 0,
      paused: video?.paused ?? true,
      readyState: video?.readyState ?? 0,
      width: video?.videoWidth ?? 0,
      height: video?.videoHeight ?? 0,
      dropped: quality?.droppedVideoFrames ?? 0,
      total: quality?.totalVideoFrames ?? 0,
      fatalErrors: player.fatalErrors ?? null,
      state: player.state ?? null,
    };
  });
  console.log(JSON.stringify(sample));
  await new Promise((resolve) => setTimeout(resolve, 1000));
}
if (screenshot) await page.screenshot({ path: screenshot });
await browser.close();
rmSync(profile, { recursive: true, force: true });
// An open stdin would keep this process alive.
process.exit(0);
