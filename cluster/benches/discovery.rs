//! What it costs to find a known stream: the look-up before every miss of an edge's cache.
//!
//! `make bench` runs it. The time is told, not asserted. What is asserted is that a hit allocates
//! nothing (the counter is the process's allocator, so that nothing hides from it), except where
//! Moka does its housekeeping in one: that is at most each 64th read, and its memory reclamation
//! then allocates one block of 2 KiB. The mean holds those as life does.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark is a program for a terminal"
)]

use async_trait::async_trait;
use criterion::{Criterion, Throughput};
use prometheus::Registry;
use std::hint::black_box;
use std::sync::Arc;
use tokio::runtime::Runtime;
use tokio::sync::broadcast;
use tokio::time::{Duration, Instant, sleep};
use tokio_util::sync::CancellationToken;
use weir_cluster::directory::Options;
use weir_cluster::{
    Broadcast, BroadcastStatus, Directory, StoreError, StreamChange, StreamKey, StreamSource,
    SystemClock,
};

/// Streams known, as on a busy edge.
const STREAMS: u64 = 10_000;
/// Look-ups whose allocations are counted.
const COUNTED: u64 = 100_000;
/// Moka collects at least so many reads before it looks at them.
const READS_A_HOUSEKEEPING: u64 = 64;

/// Knows every stream, and tells changes, of which there are none.
#[derive(Debug)]
struct Everything(broadcast::Sender<StreamChange>);

#[async_trait]
impl StreamSource for Everything {
    async fn lookup(&self, _: &StreamKey) -> Result<Option<Broadcast>, StoreError> {
        let owner = serde_json::json!({
            "nodeId": "a", "epoch": 1, "firstSequenceNumber": 0, "mediaTimeMs": 0, "wallClockMs": 0,
        });
        Ok(Some(Broadcast {
            status: BroadcastStatus::Broadcasting,
            origin_adress: Some("10.0.0.1:5080".to_owned()),
            owner: serde_json::from_value(owner).ok(),
            ..Broadcast::default()
        }))
    }

    fn changes(&self) -> Option<broadcast::Receiver<StreamChange>> {
        Some(self.0.subscribe())
    }
}

async fn directory() -> (Directory, Vec<StreamKey>) {
    let directory = Directory::spawn(
        Arc::new(Everything(broadcast::channel(1).0)),
        Arc::new(SystemClock),
        Options::default(),
        &Registry::new(),
        CancellationToken::new(),
    );
    let directory = directory.unwrap();
    // It listens, so that what it reads now stays fresh.
    sleep(Duration::from_millis(300)).await;
    let id = |i| StreamKey::parse("LiveApp", &format!("stream-{i}")).unwrap();
    let keys: Vec<_> = (0..STREAMS).map(id).collect();
    for key in &keys {
        directory.locate(key).await.unwrap().unwrap();
    }
    (directory, keys)
}

async fn look_up(directory: &Directory, keys: &[StreamKey], times: u64) {
    for key in keys.iter().cycle().take(usize::try_from(times).unwrap()) {
        black_box(directory.locate(black_box(key)).await)
            .unwrap()
            .unwrap();
    }
}

fn main() {
    let runtime = Runtime::new().unwrap();
    let (directory, keys) = runtime.block_on(directory());
    runtime.block_on(look_up(&directory, &keys, COUNTED));
    let counted = allocation_counter::measure(|| {
        runtime.block_on(look_up(&directory, &keys, COUNTED));
    });
    println!(
        "{COUNTED} hits: {} allocations, {} bytes",
        counted.count_total, counted.bytes_total
    );
    // One by one: a hit that allocates does housekeeping, and then once.
    let mut allocating = 0;
    for key in keys.iter().cycle().take(usize::try_from(COUNTED).unwrap()) {
        let one = allocation_counter::measure(|| {
            runtime.block_on(look_up(&directory, std::slice::from_ref(key), 1));
        });
        assert!(one.count_total <= 1, "{one:?}");
        allocating += one.count_total;
    }
    println!("{allocating} of {COUNTED} hits allocated, once each");

    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("directory");
    group.throughput(Throughput::Elements(1));
    for (name, keys) in [("hit", &keys[..]), ("hit, one stream", &keys[..1])] {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|times| {
                runtime.block_on(async {
                    let start = Instant::now();
                    look_up(&directory, keys, times).await;
                    start.elapsed()
                })
            });
        });
    }
    group.finish();
    criterion.final_summary();
    assert!(allocating <= COUNTED / READS_A_HOUSEKEEPING, "{allocating}");
    assert!(counted.count_total <= COUNTED / READS_A_HOUSEKEEPING);
}
