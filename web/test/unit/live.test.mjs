import assert from "node:assert/strict";
import { test } from "node:test";
import { bitrate, percent, seconds, span } from "../../pages/format.ts";
import { clusterHealth } from "../../pages/live/health.ts";
import { idProblem, publishLines } from "../../pages/live/publish.ts";
import { onAir } from "../../pages/live/rest.ts";
import { noticeFor } from "../../pages/player/notice.ts";

test("numbers read well", () => {
  assert.equal(bitrate(4_200_000), "4.2 Mbit/s");
  assert.equal(bitrate(999_999), "1.0 Mbit/s");
  assert.equal(bitrate(640_000), "640 kbit/s");
  assert.equal(bitrate(0), "–");
  assert.equal(span(3_723_000), "1:02:03");
  assert.equal(span(245_999), "4:05");
  assert.equal(span(-5), "0:00");
  assert.equal(seconds(3.24), "3.2 s");
  assert.equal(seconds(null), "–");
  assert.equal(percent(1, 1000), "0.10 %");
  assert.equal(percent(0, 0), "–");
});

test("publish lines name this host, and the port only when it is not RTMP's own", () => {
  const lines = publishLines("live.example.org", 1935, "LiveApp", "cam1");
  assert.equal(lines.server, "rtmp://live.example.org/LiveApp");
  assert.match(lines.ffmpeg, /rtmp:\/\/live\.example\.org\/LiveApp\/cam1$/);
  assert.equal(publishLines("h", 19350, "live", "x").server, "rtmp://h:19350/live");
});

test("ids are judged as the server judges them", () => {
  for (const id of ["a", "stream1", "a-b_c.d", "x".repeat(128)]) assert.equal(idProblem(id), null, id);
  for (const id of ["", "../x", "a b", "ü", "a__b", ".a", "x".repeat(129)]) assert.notEqual(idProblem(id), null, id);
});

test("only what is on the air is listed, live before starting", () => {
  const make = (app, streamId, status) => ({ app, streamId, status });
  const streams = [make("live", "z", "finished"), make("live", "b", "preparing"), make("live", "c", "broadcasting"), make("LiveApp", "d", "broadcasting"), make("live", "e", "terminated_unexpectedly")];
  assert.deepEqual(onAir(streams).map((stream) => stream.streamId), ["d", "c", "b"]);
});

test("health is said in a few words", () => {
  const node = (id, status, cpu = "10") => ({ id, status, cpu, dbQueryAveargeTimeMs: 1 });
  assert.deepEqual(clusterHealth([node("a", "alive")]), { level: "ok", words: "1 node healthy" });
  assert.deepEqual(clusterHealth([node("a", "alive"), node("b", "dead")]), { level: "warn", words: "1 of 2 nodes alive" });
  assert.equal(clusterHealth([node("a", "dead")]).level, "bad");
  assert.equal(clusterHealth([node("a", "alive", "97")]).level, "warn");
  assert.equal(clusterHealth([]).level, "warn");
});

test("the picture is free while it plays, and every other phase has words or a spinner", () => {
  assert.equal(noticeFor("playing", "s", ""), null);
  assert.equal(noticeFor("ready", "s", ""), null);
  for (const phase of ["looking", "offline", "unreachable", "denied", "starting", "stalled", "signal-lost", "recovering", "ended", "unsupported"]) {
    const notice = noticeFor(phase, "s", "");
    assert.ok(notice.title !== "" || notice.spinner !== "none", phase);
  }
});
