import assert from "node:assert/strict";
import { test } from "node:test";
import { pollPause, Recovery } from "../../pages/player/recovery.ts";

const middle = () => 0.5;

test("network faults: three restarts of growing patience, then everything anew", () => {
  const recovery = new Recovery(middle);
  const cures = [0, 1000, 2000, 3000].map((now) => recovery.next("network", now));
  assert.deepEqual(cures, [
    { action: "restart-loading", delayMs: 500 },
    { action: "restart-loading", delayMs: 1000 },
    { action: "restart-loading", delayMs: 2000 },
    { action: "reload", delayMs: 1000 },
  ]);
});

test("media faults: two recoveries, then anew; quiet forgets them", () => {
  const recovery = new Recovery(middle);
  assert.equal(recovery.next("media", 0).action, "recover-media");
  assert.equal(recovery.next("media", 1000).action, "recover-media");
  assert.equal(recovery.next("media", 2000).action, "reload");
  assert.equal(recovery.next("media", 40_000).action, "recover-media");
});

test("a playlist that is gone is looked for anew at once", () => {
  assert.equal(new Recovery(middle).next("gone", 0).action, "reload");
});

test("starting anew is bounded in rate: pauses double up to ten seconds, and fall back after quiet", () => {
  const recovery = new Recovery(middle);
  let now = 0;
  const pauses = [];
  for (let i = 0; i < 6; i += 1) {
    const { delayMs } = recovery.next("other", now);
    pauses.push(delayMs);
    now += delayMs + 100;
  }
  assert.deepEqual(pauses, [1000, 2000, 4000, 8000, 10_000, 10_000]);
  assert.equal(recovery.next("other", now + 60_000).delayMs, 1000);
});

test("pauses are spread by a quarter, and polling slows after a minute", () => {
  assert.equal(pollPause(0, 0), 1500);
  assert.equal(pollPause(0, 0.5), 2000);
  assert.ok(pollPause(0, 0.999) <= 2500);
  assert.equal(pollPause(61_000, 0.5), 4000);
});
