import assert from "node:assert/strict";
import { test } from "node:test";
import { parseParams, playlistUrls, withAccess } from "../../pages/player/params.ts";

test("an id alone plays at once, as Ant Media's page does", () => {
  const params = parseParams("?id=stream1");
  assert.deepEqual(params, { id: "stream1", autoplay: true, mute: null, targetLatencyS: null, notes: [], accessQuery: "" });
});

test("name stands in for id, id wins", () => {
  assert.equal(parseParams("?name=a").id, "a");
  assert.equal(parseParams("?name=a&id=b").id, "b");
});

test("ids that cannot exist are none", () => {
  for (const query of ["", "?id=", "?id=%20", "?id=../secret", "?id=a/../b", "?id=/a", "?id=.hidden", `?id=${"x".repeat(300)}`]) {
    assert.equal(parseParams(query).id, null, query);
  }
});

test("flags read as Ant Media's page reads them", () => {
  assert.equal(parseParams("?id=a&autoplay=false").autoplay, false);
  assert.equal(parseParams("?id=a&autoplay=true").autoplay, true);
  assert.equal(parseParams("?id=a&mute=true").mute, true);
  assert.equal(parseParams("?id=a&mute=false").mute, false);
});

test("targetLatency is held inside its bounds; words are noted", () => {
  assert.equal(parseParams("?id=a&targetLatency=4.5").targetLatencyS, 4.5);
  assert.equal(parseParams("?id=a&targetLatency=0").targetLatencyS, 1);
  assert.equal(parseParams("?id=a&targetLatency=900").targetLatencyS, 60);
  const params = parseParams("?id=a&targetLatency=soon");
  assert.equal(params.targetLatencyS, null);
  assert.match(params.notes[0], /targetLatency/);
});

test("techniques that are not here are noted, hls is not", () => {
  assert.deepEqual(parseParams("?id=a&playOrder=hls").notes, []);
  assert.match(parseParams("?id=a&playOrder=webrtc,hls,dash").notes[0], /webrtc, dash/);
  assert.match(parseParams("?id=a&playType=mp4").notes[0], /playType=mp4/);
});

test("access parameters go with playlists, encoded, others do not", () => {
  const { accessQuery } = parseParams("?id=a&token=x%26y&subscriberId=s1&subscriberCode=123456&autoplay=false");
  assert.equal(accessQuery, "token=x%26y&subscriberId=s1&subscriberCode=123456");
  assert.equal(withAccess("a.m3u8", accessQuery), `a.m3u8?${accessQuery}`);
  assert.equal(withAccess("a.m3u8?b=1", "token=t"), "a.m3u8?b=1&token=t");
  assert.equal(withAccess("a.m3u8", ""), "a.m3u8");
});

test("playlists are probed adaptive first", () => {
  assert.deepEqual(playlistUrls("a b"), ["streams/a%20b_adaptive.m3u8", "streams/a%20b.m3u8"]);
  assert.deepEqual(playlistUrls("sub/a"), ["streams/sub/a_adaptive.m3u8", "streams/sub/a.m3u8"]);
});
