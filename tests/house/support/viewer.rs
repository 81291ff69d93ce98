//! Viewers that forgive nothing: each follows a playlist as a player does and writes down every
//! request that was not answered with 200, and every number that was skipped.

use super::hls::{Entry, MediaList};
use super::{request, wait_for};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Between two looks at the playlist: an eighth of a segment.
const POLL: Duration = Duration::from_millis(250);

/// What a viewer has seen so far.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Requests made.
    pub requests: usize,
    /// Requests that failed and numbers that were skipped.
    pub faults: Vec<String>,
    /// Segments, in order.
    pub segments: Vec<Entry>,
}

impl Seen {
    /// The number of the last segment.
    pub fn last(&self) -> Option<u64> {
        self.segments.last().map(|entry| entry.sequence)
    }
}

/// A viewer at work. Dropping it ends it.
pub struct Viewer {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Viewer {
    /// Follows the media playlist at `url`, which is there.
    pub fn start(url: &str) -> Self {
        let (seen, stop) = (Arc::new(Mutex::new(Seen::default())), Arc::default());
        let (url, shared, told) = (url.to_owned(), Arc::clone(&seen), Arc::clone(&stop));
        let thread = std::thread::spawn(move || watch(&url, &shared, &told));
        Self {
            seen,
            stop,
            thread: Some(thread),
        }
    }

    /// So many of them.
    pub fn crowd(url: &str, count: usize) -> Vec<Self> {
        (0..count).map(|_| Self::start(url)).collect()
    }

    /// What it has seen so far.
    pub fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }

    /// Ends it; gives what it saw.
    pub fn stop(mut self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
        self.seen()
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Waits until each of them has got so many more segments than it has now.
pub fn wait_more<'a>(crowd: impl IntoIterator<Item = &'a Viewer>, segments: usize) {
    let count = |viewer: &Viewer| viewer.seen().segments.len();
    let crowd: Vec<_> = crowd.into_iter().map(|it| (it, count(it))).collect();
    wait_for(&format!("{segments} more segments for each viewer"), || {
        let done = crowd
            .iter()
            .all(|(it, before)| count(it) >= before + segments);
        done.then_some(())
    });
}

/// Ends a crowd; fails the test if any of them saw a fault.
pub fn all_content(crowd: Vec<Viewer>) -> Vec<Seen> {
    let seen: Vec<Seen> = crowd.into_iter().map(Viewer::stop).collect();
    let faults: Vec<&String> = seen.iter().flat_map(|it| &it.faults).collect();
    let requests: usize = seen.iter().map(|it| it.requests).sum();
    assert!(
        faults.is_empty(),
        "{} of {requests}: {faults:#?}",
        faults.len()
    );
    seen
}

fn watch(url: &str, shared: &Mutex<Seen>, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        if let Some(text) = ask(url, shared) {
            for entry in MediaList::parse(url, &text).entries {
                take(entry, shared);
            }
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "a thread of its own, which polls as players do"
        )]
        std::thread::sleep(POLL);
    }
}

/// Takes a segment if it is new.
fn take(entry: Entry, shared: &Mutex<Seen>) {
    let last = shared.lock().unwrap().last();
    if last.is_some_and(|last| entry.sequence <= last) {
        return;
    }
    if let Some(last) = last.filter(|last| entry.sequence != last + 1 && !entry.discontinuity) {
        let text = format!("{} follows {last}", entry.sequence);
        shared.lock().unwrap().faults.push(text);
    }
    ask(&entry.url, shared);
    shared.lock().unwrap().segments.push(entry);
}

fn ask(url: &str, shared: &Mutex<Seen>) -> Option<String> {
    let answer = request("GET", url);
    let mut seen = shared.lock().unwrap();
    seen.requests += 1;
    match answer {
        Ok(answer) if answer.status == 200 => return Some(answer.text()),
        Ok(answer) => seen.faults.push(format!("{url}: {}", answer.status)),
        Err(error) => seen.faults.push(error),
    }
    None
}
