//! kill -9 at any moment: the file opens, and nothing acknowledged is lost.
//!
//! The test starts itself again as a child that claims, reports and releases streams, and writes
//! and deletes records, in a loop, and prints a line for each call that was acknowledged; it kills
//! the child after a random number of lines.
//! `WEIR_SOAK=200` asks for 200 rounds instead of 20.

use crate::contract::{START_MS, claim, end, fields, key, made_by_rest, place};
use crate::embedded::open;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use weir_cluster::embedded::EmbeddedStore;
use weir_cluster::{Kind, ManualClock, Records, Store, SystemClock, WallClock};

const STREAMS: u64 = 12;

#[tokio::test]
async fn killed_at_any_time_it_opens_and_keeps_what_it_acknowledged() {
    let rounds = std::env::var("WEIR_SOAK").map_or(20, |n| n.parse().unwrap_or(200));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weir.redb");
    let mut random = SystemClock.now_ms().unsigned_abs();
    println!("{rounds} rounds, seed {random}");
    killed_while_the_file_is_made(folder.path(), rounds * 2);
    let mut last = BTreeMap::new();
    let mut acknowledged = 0;
    for round in 0..rounds {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        // Small numbers often: they fall into opening and the first writes.
        let lines = if round % 4 == 0 {
            0
        } else {
            (random >> 33) % 120
        };
        let lines = run_and_kill(&path, lines);
        acknowledged += lines.len();
        for line in &lines {
            note(&mut last, line);
        }
        verify(&path, &last, round).await;
    }
    println!("{acknowledged} calls acknowledged over {rounds} kills, none lost");
    assert!(acknowledged > 0);
}

/// A first start, again and again, killed a little later each time: before, while and after the
/// file is made.
fn killed_while_the_file_is_made(folder: &Path, rounds: u32) {
    for round in 0..rounds {
        let path = folder.join(format!("first-{}", round % 4));
        if round % 8 < 4 {
            let _ = std::fs::remove_file(&path);
        }
        let mut child = start(&path);
        let mut busy = 0_u64;
        // No sleep: what has to be hit is shorter than a timer's tick.
        for i in 0..u64::from(round % 40) * 100_000 {
            busy = std::hint::black_box(busy + i);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        drop(open(&path, &ManualClock::at(START_MS)));
    }
    let names = std::fs::read_dir(folder).unwrap().flatten();
    let left = names.filter(|entry| entry.file_name().to_string_lossy().contains(".new-"));
    assert!(
        left.count() <= 4,
        "what killed starts leave does not pile up"
    );
}

fn start(path: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child", "--ignored", "--nocapture"])
        .env("WEIR_CRASH_FILE", path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// What was last acknowledged of a stream: its epoch, and where it ended when it was released.
type Last = BTreeMap<String, (u64, Option<u64>)>;

fn note(last: &mut Last, line: &str) {
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        ["claimed", id, epoch] => drop(last.insert(id.to_owned(), (epoch.parse().unwrap(), None))),
        ["released", id, epoch, next] => {
            let end = (epoch.parse().unwrap(), Some(next.parse().unwrap()));
            last.insert(id.to_owned(), end);
        }
        // A record, by its id, with the number it was set to last; or that it is gone.
        ["wrote", id, number] => {
            last.insert(id.to_owned(), (number.parse().unwrap(), None));
        }
        ["deleted", id, number] => {
            let gone = (number.parse().unwrap(), Some(0));
            last.insert(id.to_owned(), gone);
        }
        _ => panic!("{line}"),
    }
}

async fn verify(path: &Path, last: &Last, round: u32) {
    let store = open(path, &ManualClock::at(START_MS));
    let (records, streams): (Last, Last) = (last.clone().into_iter()).partition(is_of_a_record);
    verify_records(&store, &records, round).await;
    let last = &streams;
    for (id, (epoch, ended)) in last {
        let record = store.broadcast(&key(id)).await.unwrap();
        let record = record.unwrap_or_else(|| panic!("round {round}: {id} is lost"));
        // A call in flight when the child died may have come through as well.
        match (ended, record.owner) {
            (_, Some(owner)) => assert!(owner.epoch >= *epoch, "round {round}: {id}"),
            (Some(_), None) => {}
            (None, None) => {
                // Released in flight; then the timeline says which epoch that was.
            }
        }
    }
    if round % 5 == 4 {
        // The numbers, too: taking a stream again starts where its acknowledged end was, or after.
        for (id, (epoch, ended)) in last {
            let again = store.claim(claim(id, "child", START_MS)).await.unwrap();
            assert!(again.epoch > *epoch, "round {round}: {id}");
            let from = ended.unwrap_or(0);
            assert!(again.first_sequence_number >= from, "round {round}: {id}");
        }
    }
}

fn is_of_a_record((id, _): &(String, (u64, Option<u64>))) -> bool {
    id.starts_with('t')
}

/// Inserts, patches and deletions of tokens that were acknowledged; one more of each may be there.
async fn verify_records(store: &EmbeddedStore, records: &Last, round: u32) {
    for (id, (number, gone)) in records {
        let found = store.get(&place(Kind::Token, id)).await.unwrap();
        match (found, gone) {
            (Some(found), _) => {
                let found = found["expireDate"].as_u64().unwrap();
                let newer = if gone.is_some() { number + 1 } else { *number };
                assert!(found >= newer, "round {round}: {id} is old");
            }
            // Deleted in flight: what comes after the last acknowledged write is a deletion.
            (None, None) => {
                let next_is_deletion = number % 3 == 1 && (number / 3) % 2 == 0;
                assert!(next_is_deletion, "round {round}: {id} is lost");
            }
            (None, Some(_)) => {}
        }
    }
}

/// Inserts, patches and deletes one token after another; each number is used once.
async fn write_records(store: &EmbeddedStore, i: u64, say: &impl Fn(String)) {
    let id = format!("t{}", i % STREAMS);
    let at = place(Kind::Token, &id);
    let number = i * 3;
    let record = |n: u64| fields(json!({ "expireDate": n, "type": "play" }));
    // The last process may have left it.
    store.put(&at, record(number)).await.unwrap();
    say(format!("wrote {id} {number}"));
    let patched = store.patch(&at, record(number + 1)).await.unwrap();
    assert!(patched.is_some());
    say(format!("wrote {id} {}", number + 1));
    if i.is_multiple_of(2) {
        assert!(store.delete(&at).await.unwrap());
        say(format!("deleted {id} {}", number + 1));
    }
}

fn run_and_kill(path: &Path, lines_max: u64) -> Vec<String> {
    let mut child = start(path);
    let out = BufReader::new(child.stdout.take().unwrap());
    let mut acknowledged = Vec::new();
    let mut killed = false;
    for line in out.split(b'\n') {
        let line = String::from_utf8(line.unwrap()).unwrap();
        // The last line may be cut off; every whole one was acknowledged, read late or not.
        if let Some(ack) = line.strip_prefix("ack ").and_then(|l| l.strip_suffix(" .")) {
            acknowledged.push(ack.to_owned());
        }
        if !killed && acknowledged.len() as u64 >= lines_max {
            child.kill().unwrap();
            killed = true;
        }
    }
    child.wait().unwrap();
    assert!(killed, "the child ended by itself");
    acknowledged
}

/// Not a test of its own: the process that is killed.
#[tokio::test]
#[ignore = "started by the test above"]
async fn child() {
    let Ok(path) = std::env::var("WEIR_CRASH_FILE") else {
        return;
    };
    let say = |line: String| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "\nack {line} .").unwrap();
        out.flush().unwrap();
    };
    let store = open(Path::new(&path), &ManualClock::at(START_MS));
    // Greater than any number of the processes before.
    let first = SystemClock.now_ms().unsigned_abs() * 1_000;
    for i in 0_u64.. {
        let now_ms = START_MS + i64::try_from(i).unwrap();
        let id = format!("s{}", i % STREAMS);
        let taken = made_by_rest(claim(&id, "child", now_ms));
        let owned = store.claim(taken).await.unwrap();
        say(format!("claimed {id} {}", owned.epoch));
        write_records(&store, first + i, &say).await;
        if i % 3 == 0 {
            let next = owned.first_sequence_number + 1;
            let at = end(next, now_ms);
            store.release(&key(&id), owned.epoch, at).await.unwrap();
            say(format!("released {id} {} {next}", owned.epoch));
        } else {
            let live = claim(&id, "child", now_ms).broadcast;
            let at = end(owned.first_sequence_number + 1, now_ms);
            store
                .update(&key(&id), owned.epoch, live, at)
                .await
                .unwrap();
        }
    }
}
