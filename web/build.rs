//! Brings `dist/` up to date before it is embedded.
//!
//! `dist/.sources` holds a fingerprint of what `dist/` was built from. As long as it matches, nothing is run and
//! nothing is downloaded, so that an offline machine with a built `dist/` compiles. Otherwise `npm ci` (only when
//! `node_modules` is older than the lock file) and `npm run build` are run, one at a time however many builds
//! of this crate are under way. Without npm the build stops and says what to install.
#![allow(
    clippy::print_stdout,
    reason = "a build script speaks to cargo on stdout"
)]

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::SystemTime;

/// What the fingerprint covers; `build.mjs` has the same list.
const SOURCES: [&str; 4] = ["build.mjs", "package.json", "package-lock.json", "pages"];
/// Where `build.mjs` leaves the fingerprint.
const STAMP: &str = "dist/.sources";
/// How much of npm's output is shown when it fails, bytes.
const SHOWN_BYTES: usize = 4_000;

fn main() -> ExitCode {
    for path in SOURCES.iter().chain([&STAMP]) {
        println!("cargo::rerun-if-changed={path}");
    }
    match bring_up_to_date() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            for line in problem.lines() {
                println!("cargo::error={line}");
            }
            ExitCode::FAILURE
        }
    }
}

fn bring_up_to_date() -> Result<(), String> {
    let wanted = fingerprint().map_err(|e| format!("cannot read the pages' sources: {e}"))?;
    if is_built_from(&wanted) {
        return Ok(());
    }
    fs::create_dir_all(".cache").map_err(|e| format!("cannot make web/.cache: {e}"))?;
    let lock = File::create(".cache/build.lock")
        .and_then(|file| file.lock().map(|()| file))
        .map_err(|e| format!("cannot lock web/.cache/build.lock: {e}"))?;
    // Another build may have done it while this one waited.
    if !is_built_from(&wanted) {
        if !modules_are_current() {
            npm(&["ci", "--no-audit", "--no-fund"])?;
        }
        npm(&["run", "build"])?;
        if !is_built_from(&wanted) {
            return Err("web/build.mjs built from other sources than web/build.rs sees".to_owned());
        }
    }
    // Older than any build, so that cargo does not take the fresh file for a change next time.
    File::options()
        .write(true)
        .open(STAMP)
        .and_then(|stamp| stamp.set_modified(SystemTime::UNIX_EPOCH))
        .map_err(|e| format!("cannot touch web/{STAMP}: {e}"))?;
    drop(lock);
    Ok(())
}

fn is_built_from(wanted: &str) -> bool {
    fs::read_to_string(STAMP).is_ok_and(|built| built.trim() == wanted)
}

/// True when npm installed after the lock file last changed.
fn modules_are_current() -> bool {
    let changed = |path: &str| fs::metadata(path).and_then(|meta| meta.modified());
    match (
        changed("node_modules/.package-lock.json"),
        changed("package-lock.json"),
    ) {
        (Ok(installed), Ok(locked)) => installed >= locked,
        _ => false,
    }
}

fn npm(arguments: &[&str]) -> Result<(), String> {
    let line = format!("npm {}", arguments.join(" "));
    let output = Command::new("npm").args(arguments).output().map_err(|e| {
        if e.kind() == io::ErrorKind::NotFound {
            "the web pages are not built and npm is not installed: install nodejs (18 or newer) and npm, or run `scripts/deps.sh build`".to_owned()
        } else {
            format!("cannot run `{line}`: {e}")
        }
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    let tail =
        String::from_utf8_lossy(&said[said.len().saturating_sub(SHOWN_BYTES)..]).into_owned();
    Err(format!(
        "`{line}` in web/ failed ({}). It needs nodejs 18 or newer, and for `npm ci` the npm registry.\n{tail}",
        output.status
    ))
}

/// FNV-1a, 64 bits, over path, NUL, content, NUL of each source; `build.mjs` computes the same.
fn fingerprint() -> io::Result<String> {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut eat = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    for source in SOURCES {
        let mut files = Vec::new();
        collect(Path::new(source), &mut files)?;
        // By bytes, as build.mjs does; a Path compares by its parts.
        files.sort_by(|a, b| a.as_os_str().cmp(b.as_os_str()));
        for file in files {
            let path = file.to_str().ok_or(io::ErrorKind::InvalidFilename)?;
            eat(path.as_bytes());
            eat(&[0]);
            eat(&fs::read(&file)?);
            eat(&[0]);
        }
    }
    Ok(format!("{hash:016x}"))
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(path)? {
        collect(&entry?.path(), files)?;
    }
    Ok(())
}
