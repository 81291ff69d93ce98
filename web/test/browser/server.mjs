// Serves the built pages and a folder of HLS files the way a node does, for the browser tests.
import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";

const TYPES = {
  ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml",
  ".m3u8": "application/vnd.apple.mpegurl", ".mp4": "video/mp4", ".m4s": "video/iso.segment",
};
const CSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self' blob:; worker-src 'self' blob:; connect-src 'self'";

/**
 * Starts on a free port of 127.0.0.1. `requests` remembers "METHOD path" of each request, newest last;
 * `state.fault(path)` may give a status to fail with, `state.json[path]` an answer.
 */
export async function startServer(dist, streams) {
  const requests = [];
  const state = { fault: null, json: {} };
  const server = createServer((request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url, "http://host").pathname));
    requests.push(`${request.method} ${request.url}`);
    if (requests.length > 10_000) requests.shift();
    const status = state.fault?.(path);
    if (status) return void response.writeHead(status).end();
    const json = state.json[path];
    if (json) return void response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(json));
    const inApp = path.match(/^\/LiveApp\/(.*)$/)?.[1] ?? path.slice(1);
    const file = inApp.startsWith("streams/") ? join(streams, inApp.slice(8)) : join(dist, inApp || "index.html");
    if (!existsSync(file) || !statSync(file).isFile()) return void response.writeHead(404).end();
    const type = TYPES[extname(file)] ?? "application/octet-stream";
    response.writeHead(200, { "content-type": type, "content-length": statSync(file).size, "cache-control": "no-store", "content-security-policy": CSP });
    if (request.method === "HEAD") response.end();
    else createReadStream(file).on("error", () => response.destroy()).pipe(response);
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const url = `http://127.0.0.1:${server.address().port}`;
  return { url, requests, state, close: () => { server.closeAllConnections(); server.close(); } };
}
