import assert from "node:assert/strict";
import { test } from "node:test";
import { Watchdog } from "../../pages/player/watchdog.ts";

/** Feeds samples 500 ms apart; `at` changes one from its index in time. Returns the verdicts that differ in a row. */
function story(seconds, at) {
  const watchdog = new Watchdog();
  const told = [];
  for (let nowMs = 0; nowMs <= seconds * 1000; nowMs += 500) {
    const sample = { nowMs, wanted: true, positionS: nowMs / 1000, aheadS: 5, playlistVersion: Math.floor(nowMs / 2000), playlistEnded: false, leftS: Infinity };
    const verdict = watchdog.judge({ ...sample, ...at(nowMs / 1000) });
    if (told[told.length - 1] !== verdict) told.push(verdict);
  }
  return told;
}

test("what moves is fine", () => {
  assert.deepEqual(story(60, () => ({})), ["fine"]);
});

test("a pause is nobody's fault", () => {
  assert.deepEqual(story(60, () => ({ wanted: false, positionS: 3 })), ["fine"]);
});

test("standing still on buffered media is cured, again and again", () => {
  const told = story(12, () => ({ positionS: 3 }));
  assert.equal(told.filter((verdict) => verdict === "stuck").length, 2);
});

test("an encoder that is away is waited for, however long", () => {
  const told = story(120, (s) => (s > 10 ? { positionS: 10, aheadS: 0, playlistVersion: 5 } : {}));
  assert.deepEqual(told, ["fine", "stalled", "signal-lost"]);
});

test("an encoder that is back is given time to be heard", () => {
  const away = (s) => (s > 10 && s < 31 ? { positionS: 10, aheadS: 0, playlistVersion: s < 25 ? 5 : 6 } : {});
  const told = story(60, away);
  assert.deepEqual(told, ["fine", "stalled", "signal-lost", "stalled", "fine"]);
});

test("media that does not come while the playlist goes on is cured", () => {
  const told = story(30, (s) => (s > 10 ? { positionS: 10, aheadS: 0 } : {}));
  assert.ok(told.includes("starved"), told.join());
  assert.ok(!told.includes("signal-lost"), told.join());
});

test("the end of an ended playlist is the end; a hole before it is cured", () => {
  const end = story(20, (s) => (s > 10 ? { positionS: 10, aheadS: 0, playlistEnded: true, leftS: 0.1, playlistVersion: 5 } : {}));
  assert.deepEqual(end, ["fine", "over"]);
  const hole = story(30, (s) => (s > 10 ? { positionS: 10, aheadS: 0, playlistEnded: true, leftS: 30, playlistVersion: 5 } : {}));
  assert.ok(hole.includes("starved"), hole.join());
});
