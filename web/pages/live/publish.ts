// The lines that publish to this host. Pure.

/** RTMP's own port, which URLs leave out. */
const RTMP_PORT = 1935;

/** What an encoder needs. */
export interface PublishLines {
  server: string;
  key: string;
  ffmpeg: string;
}

/** The lines for a stream; `host` is the name the browser reached the page at. */
export function publishLines(host: string, rtmpPort: number, app: string, id: string): PublishLines {
  const server = `rtmp://${host}${rtmpPort === RTMP_PORT ? "" : `:${rtmpPort}`}/${app}`;
  const ffmpeg = [
    "ffmpeg -re -f lavfi -i testsrc2=size=1280x720:rate=30",
    "-f lavfi -i sine=frequency=440:sample_rate=48000",
    "-c:v libx264 -preset veryfast -tune zerolatency",
    "-pix_fmt yuv420p -b:v 2500k -g 60",
    `-c:a aac -b:a 128k -f flv ${server}/${id}`,
  ].join(" \\\n  ");
  return { server, key: id, ffmpeg };
}

/** Why an id would be refused; `null` = it is fine. The server's own rule, told before publishing. */
export function idProblem(id: string): string | null {
  if (id === "") return "A stream needs an id.";
  if (id.length > 128) return "A stream id has at most 128 characters.";
  if (!/^[A-Za-z0-9._-]+$/.test(id)) return "A stream id has letters, digits, “-”, “_” and “.” only.";
  if (id.includes("__")) return "A stream id may not contain a double underscore.";
  if (id.startsWith(".")) return "A stream id may not start with a dot.";
  return null;
}
