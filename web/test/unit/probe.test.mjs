import assert from "node:assert/strict";
import { test } from "node:test";
import { peek, probe } from "../../pages/player/probe.ts";

const BASE = "http://host/LiveApp/play.html?id=s";
const MASTER = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\ns/video.m3u8\n";
const LIVE = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2.000,\ns/1/v0.m4s\n";
const ENDED = `${LIVE}#EXT-X-ENDLIST\n`;

/** A server of `files` (path → [status, body]); remembers what it was asked. */
function server(files) {
  const asked = [];
  const get = async (url, { method }) => {
    const path = url.replace("http://host/LiveApp/", "");
    asked.push(`${method} ${path}`);
    const [status, body] = files[path] ?? [404, ""];
    return new Response(method === "HEAD" ? null : body, { status });
  };
  return { asked, get };
}

test("asks HEAD for the adaptive playlist, then for the plain one, then looks inside", async () => {
  const { asked, get } = server({ "streams/s.m3u8": [200, MASTER], "streams/s/video.m3u8": [200, LIVE] });
  assert.deepEqual(await probe("s", "", BASE, get), { kind: "live", url: "http://host/LiveApp/streams/s.m3u8", ample: false });
  assert.deepEqual(asked, ["HEAD streams/s_adaptive.m3u8", "HEAD streams/s.m3u8", "GET streams/s.m3u8", "GET streams/s/video.m3u8"]);
});

test("two target durations of media are ample to start on", async () => {
  const more = `${LIVE}#EXTINF:2.0,\ns/1/v1.m4s\n`;
  assert.equal((await probe("s", "", BASE, server({ "streams/s.m3u8": [200, more] }).get)).ample, true);
});

test("the adaptive playlist wins", async () => {
  const { get } = server({ "streams/s_adaptive.m3u8": [200, LIVE], "streams/s.m3u8": [200, LIVE] });
  assert.match((await probe("s", "", BASE, get)).url, /_adaptive/);
});

test("what is missing is offline, also when it vanishes between two questions", async () => {
  assert.deepEqual(await probe("s", "", BASE, server({}).get), { kind: "offline" });
  const half = server({ "streams/s.m3u8": [200, MASTER] });
  assert.deepEqual(await probe("s", "", BASE, half.get), { kind: "offline" });
});

test("an ended live stream is not live, a recording is one", async () => {
  const ended = server({ "streams/s.m3u8": [200, MASTER], "streams/s/video.m3u8": [200, ENDED] });
  assert.deepEqual(await probe("s", "", BASE, ended.get), { kind: "ended" });
  const recording = server({ "streams/s.m3u8": [200, `#EXTM3U\n#EXT-X-PLAYLIST-TYPE:VOD\n${ENDED}`] });
  assert.equal((await probe("s", "", BASE, recording.get)).kind, "recording");
});

test("a token goes with every playlist", async () => {
  const { asked, get } = server({ "streams/s.m3u8?token=t": [200, MASTER], "streams/s/video.m3u8?token=t": [200, LIVE] });
  assert.equal((await probe("s", "token=t", BASE, get)).kind, "live");
  assert.ok(asked.every((line) => line.endsWith("?token=t")));
});

test("refusals, faults and silence are told apart", async () => {
  assert.deepEqual(await probe("s", "", BASE, server({ "streams/s_adaptive.m3u8": [403, ""] }).get), { kind: "denied", status: 403 });
  assert.equal((await probe("s", "", BASE, server({ "streams/s_adaptive.m3u8": [503, ""] }).get)).kind, "unreachable");
  const down = async () => { throw new TypeError("Failed to fetch"); };
  assert.deepEqual(await probe("s", "", BASE, down), { kind: "unreachable", reason: "Failed to fetch" });
});

test("peek reads outlines and survives rubbish", () => {
  assert.deepEqual(peek(MASTER), { variant: "s/video.m3u8", ended: false, type: null, segments: 0, durationS: 0, targetDurationS: 0 });
  assert.deepEqual(peek(ENDED.replace(/\n/g, "\r\n")), { variant: null, ended: true, type: null, segments: 1, durationS: 2, targetDurationS: 2 });
  assert.deepEqual(peek("\0\0<html>"), { variant: null, ended: false, type: null, segments: 1, durationS: 0, targetDurationS: 0 });
  assert.deepEqual(peek(""), { variant: null, ended: false, type: null, segments: 0, durationS: 0, targetDurationS: 0 });
});
