// Builds the pages into dist/: `node build.mjs`; bundles the unit tests for node: `node build.mjs unit`.
//
// Everything the pages need is bundled here, so that the server never sends a browser elsewhere. Scripts and
// styles carry a hash of their content in their names and may be cached for ever; pages may not. Texts get a
// .gz twin. dist/.sources holds the fingerprint of what dist was built from: build.rs compares it.
import * as esbuild from "esbuild";
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const here = dirname(fileURLToPath(import.meta.url));
const DIST = join(here, "dist");
const CACHE = join(here, ".cache");
/** What the fingerprint covers, in this order; folders are walked in byte order of their paths. */
const SOURCES = ["build.mjs", "package.json", "package-lock.json", "pages"];
/** Texts shorter than this gain nothing from compression, bytes. */
const GZIP_MIN_BYTES = 1024;
const COMMON = { bundle: true, minify: true, format: "esm", target: ["es2020"], legalComments: "none", logLevel: "warning" };

function filesUnder(path) {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path).sort().flatMap((name) => filesUnder(join(path, name)));
}

/** FNV-1a, 64 bits, over path, NUL, content, NUL of each source; build.rs computes the same. */
function fingerprint() {
  let hash = 0xcbf29ce484222325n;
  const eat = (bytes) => {
    for (const byte of bytes) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  };
  const files = SOURCES.flatMap((source) => filesUnder(join(here, source)).map((file) => relative(here, file)).sort());
  for (const file of files) {
    eat(Buffer.from(`${file}\0`));
    eat(readFileSync(join(here, file)));
    eat([0]);
  }
  return hash.toString(16).padStart(16, "0");
}

/** Bundles one entry and returns the name it got. */
async function bundle(entry, name, outdir, extra = {}) {
  const result = await esbuild.build({
    ...COMMON,
    entryPoints: { [name]: entry },
    outdir,
    entryNames: "[name]-[hash]",
    metafile: true,
    ...extra,
  });
  return basename(Object.keys(result.metafile.outputs)[0]);
}

async function buildPages() {
  const out = join(CACHE, `dist-${process.pid}`);
  const assets = join(out, "assets");
  rmSync(out, { recursive: true, force: true });
  mkdirSync(assets, { recursive: true });

  const hlsWorker = await bundle(join(here, "node_modules/hls.js/dist/hls.worker.js"), "hls-worker", assets, { format: "iife" });
  const define = { HLS_WORKER_PATH: JSON.stringify(`assets/${hlsWorker}`) };
  const names = {
    "play.js": await bundle(join(here, "pages/play.ts"), "play", assets, { define }),
    "index.js": await bundle(join(here, "pages/index.ts"), "index", assets),
    "play.css": await bundle(join(here, "pages/play.css"), "play", assets),
    "index.css": await bundle(join(here, "pages/index.css"), "index", assets),
  };
  for (const page of ["play.html", "index.html"]) {
    const html = readFileSync(join(here, "pages", page), "utf8").replace(/\{\{([\w.]+)\}\}/g, (_, name) => {
      if (!names[name]) throw new Error(`${page} names ${name}, which is not built`);
      return `assets/${names[name]}`;
    });
    writeFileSync(join(out, page), html);
  }
  cpSync(join(here, "pages/icon.svg"), join(assets, "icon.svg"));
  writeFileSync(join(assets, "licenses.txt"), licences());

  for (const file of filesUnder(out)) {
    const bytes = readFileSync(file);
    if (bytes.length >= GZIP_MIN_BYTES) writeFileSync(`${file}.gz`, gzipSync(bytes, { level: 9 }));
  }
  writeFileSync(join(out, ".sources"), fingerprint());
  rmSync(DIST, { recursive: true, force: true });
  renameSync(out, DIST);
}

/** The licences of what is bundled, which travel with it. */
function licences() {
  const folder = join(here, "node_modules/hls.js");
  const { version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  return `This server's pages contain hls.js ${version}:\n\n${readFileSync(join(folder, "LICENSE"), "utf8")}`;
}

async function bundleUnitTests() {
  const outdir = join(CACHE, "unit");
  rmSync(outdir, { recursive: true, force: true });
  const folder = join(here, "test/unit");
  await esbuild.build({
    entryPoints: readdirSync(folder).filter((name) => name.endsWith(".test.mjs")).map((name) => join(folder, name)),
    bundle: true,
    platform: "node",
    format: "esm",
    outdir,
    outExtension: { ".js": ".mjs" },
    logLevel: "warning",
  });
  const tests = readdirSync(outdir).map((name) => join(outdir, name));
  execFileSync(process.execPath, ["--test", ...tests], { stdio: "inherit" });
}

if (!existsSync(CACHE)) mkdirSync(CACHE);
await (process.argv[2] === "unit" ? bundleUnitTests() : buildPages());
