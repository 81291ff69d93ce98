//! Tidy: the house rules that no compiler checks. Reads the tree and cargo's metadata, runs
//! nothing. Each test names the file and the rule it breaks.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Longest source file, lines. Above it a file holds more than one job.
const FILE_LINES_MAX: usize = 400;

fn root() -> PathBuf {
    // The manifest of package `weir` lies in src/.
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_path_buf()
}

fn tracked(ending: &str) -> Vec<PathBuf> {
    let out = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
            "--",
            ending,
        ])
        .current_dir(root())
        .output()
        .expect("git lists the tree");
    assert!(out.status.success(), "git ls-files failed");
    String::from_utf8(out.stdout)
        .unwrap()
        .split('\0')
        .filter(|name| !name.is_empty() && root().join(name).exists())
        .map(PathBuf::from)
        .collect()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// Crate name to the names of the workspace crates and guarded crates it depends on.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let out = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--format-version",
            "1",
            "--offline",
        ])
        .current_dir(root())
        .output()
        .expect("cargo metadata runs");
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    let metadata: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let mut all = BTreeMap::new();
    for package in metadata["packages"].as_array().unwrap() {
        let names = package["dependencies"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|d| d["kind"].as_str() != Some("dev"))
            .map(|d| d["name"].as_str().unwrap().to_owned())
            .collect();
        all.insert(package["name"].as_str().unwrap().to_owned(), names);
    }
    all
}

/// The "may use" table of ARCHITECTURE.md: crate name to the folders it may use.
fn may_use() -> BTreeMap<String, BTreeSet<String>> {
    let text = read(Path::new("ARCHITECTURE.md"));
    let mut table = BTreeMap::new();
    for line in text
        .lines()
        .filter(|l| l.starts_with("| `") && l.contains("/` | `weir"))
    {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let name = cells[2].trim_matches('`').to_owned();
        let uses = cells[4].split(',').map(str::trim).filter(|s| !s.is_empty());
        table.insert(name, uses.map(|s| format!("weir-{s}")).collect());
    }
    table
}

#[test]
fn crates_use_only_what_the_table_says() {
    let table = may_use();
    let found = dependencies();
    assert_eq!(
        table.keys().collect::<Vec<_>>(),
        found.keys().collect::<Vec<_>>(),
        "ARCHITECTURE.md's table and the workspace name the same crates"
    );
    let mut wrong = Vec::new();
    for (name, uses) in &found {
        for used in uses.iter().filter(|u| found.contains_key(*u)) {
            if !table[name].contains(used) {
                wrong.push(format!(
                    "{name} uses {used}: ARCHITECTURE.md does not allow it"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn guarded_crates_stay_in_their_rooms() {
    let rooms: [(&str, &[&str]); 5] = [
        ("pingora", &["weir-lb", "weir-edge", "weir-cache"]),
        ("mongodb", &["weir-cluster"]),
        ("ffmpeg", &["weir-worker"]),
        ("webrtc", &["weir-rtc"]),
        ("quinn", &["weir-relay"]),
    ];
    let mut wrong = Vec::new();
    for (name, uses) in dependencies() {
        for used in uses {
            for (guarded, allowed) in rooms {
                let same = used == guarded || used.starts_with(&format!("{guarded}-"));
                if same && !allowed.contains(&name.as_str()) {
                    wrong.push(format!("{name} uses {used}; only {allowed:?} may"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_are_small_rooms_with_a_sign_on_the_door() {
    let mut wrong = Vec::new();
    let rust = tracked("*.rs");
    assert!(
        rust.len() > 30,
        "only {} Rust files found: the check looks in the wrong place",
        rust.len()
    );
    for path in rust {
        let text = read(&path);
        let lines = text.lines().count();
        if lines > FILE_LINES_MAX {
            wrong.push(format!(
                "{}: {lines} lines; at most {FILE_LINES_MAX}",
                path.display()
            ));
        }
        let first = text
            .lines()
            .find(|l| !l.trim().is_empty() && !l.starts_with("#!["));
        if !first.is_some_and(|l| l.starts_with("//!")) {
            wrong.push(format!("{}: opens without a //! header", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nothing_is_left_unfinished_by_its_own_words() {
    // Pieced together so that this file does not accuse itself.
    let words = [
        ["to", "do!("].concat(),
        ["unimpl", "emented!("].concat(),
        ["FIX", "ME"].concat(),
    ];
    let mut wrong = Vec::new();
    for ending in ["*.rs", "*.ts", "*.mjs", "*.sh"] {
        for path in tracked(ending) {
            for (number, line) in read(&path).lines().enumerate() {
                if words.iter().any(|w| line.contains(w.as_str())) {
                    wrong.push(format!(
                        "{}:{}: {}",
                        path.display(),
                        number + 1,
                        line.trim()
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn lock_files_name_no_download_address() {
    for path in tracked("*package-lock.json") {
        assert!(
            !read(&path).contains("\"resolved\": \"http"),
            "{}",
            path.display()
        );
    }
}

#[test]
fn only_ring_does_cryptography() {
    let lock = read(Path::new("Cargo.lock"));
    for other in ["aws-lc-sys", "aws-lc-rs", "boring-sys"] {
        assert!(
            !lock.contains(&format!("name = \"{other}\"")),
            "Cargo.lock holds {other}"
        );
    }
    // The feature `openssl` of the balancer may bring it, and nothing else.
    let tree = |features: &[&str]| {
        let out = Command::new(env!("CARGO"))
            .args([
                "tree",
                "--locked",
                "--offline",
                "-p",
                "weir",
                "-e",
                "normal,build",
            ])
            .args(["--prefix", "none"])
            .args(features)
            .current_dir(root())
            .output()
            .unwrap();
        String::from_utf8_lossy(&out.stdout).into_owned()
    };
    assert!(
        !tree(&[]).contains("openssl-sys"),
        "a default build links OpenSSL"
    );
    assert!(
        tree(&["--features", "openssl"]).contains("openssl-sys"),
        "the feature brings no OpenSSL: the check is blind"
    );
    assert!(
        lock.contains("name = \"ring\""),
        "Cargo.lock holds no ring: the check is blind"
    );
}
