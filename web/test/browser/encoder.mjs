// A real encoder writing live HLS of the shape an origin serves: fMP4, audio and video apart, a sliding window.
import { spawn } from "node:child_process";
import { rmSync, readdirSync } from "node:fs";
import { join } from "node:path";

/** Starts ffmpeg; started again in the same folder it goes on after a discontinuity. */
export function startEncoder(folder, id) {
  const ffmpeg = spawn("ffmpeg", [
    "-nostdin", "-v", "error", "-re",
    "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=30",
    "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000",
    "-map", "0:v", "-map", "1:a",
    "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-pix_fmt", "yuv420p", "-b:v", "600k", "-g", "30",
    "-c:a", "aac", "-b:a", "96k",
    "-f", "hls", "-hls_time", "1", "-hls_list_size", "8", "-hls_segment_type", "fmp4",
    "-hls_flags", "append_list+discont_start+delete_segments+program_date_time+independent_segments+temp_file",
    "-hls_delete_threshold", "5",
    "-hls_fmp4_init_filename", "init_%v.mp4",
    "-hls_segment_filename", join(folder, `${id}_%v_%09d.m4s`),
    "-var_stream_map", "v:0,agroup:aud a:0,agroup:aud,default:yes",
    "-master_pl_name", `${id}.m3u8`,
    join(folder, `${id}_%v.m3u8`),
  ], { stdio: ["ignore", "ignore", "inherit"] });
  const gone = new Promise((done) => ffmpeg.once("exit", done));
  return {
    /** Dies as by a cut cable: the playlists stay as they are. */
    kill: () => { ffmpeg.kill("SIGKILL"); return gone; },
    /** Ends cleanly: ENDLIST is written. */
    end: () => { ffmpeg.kill("SIGTERM"); return gone; },
  };
}

/** Takes all files of a stream away, as a node does some time after its end. */
export function removeStream(folder) {
  for (const name of readdirSync(folder)) rmSync(join(folder, name));
}
