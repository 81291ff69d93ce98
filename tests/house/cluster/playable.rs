//! How soon after its first segment a new stream plays at an edge: figures, for `make soak`.

use super::pattern;
use crate::support::{Cluster, StubbornEncoder, Weir, request, wait_for};
use std::time::{Duration, Instant};

/// Streams begun one after another.
const STREAMS: usize = 10;

/// When the stream's playlist can first be had of one of these nodes, asked again and again.
#[expect(
    clippy::disallowed_methods,
    reason = "states how long viewers waited, asserts nothing of it"
)]
fn playable(nodes: &[&Weir], id: &str, pause: Duration) -> Instant {
    let urls = nodes
        .iter()
        .map(|node| node.url(&format!("/LiveApp/streams/{id}/video.m3u8")));
    let urls: Vec<String> = urls.collect();
    let there = |url: &String| request("GET", url).is_ok_and(|answer| answer.status == 200);
    for _ in 0..10_000 {
        if urls.iter().any(there) {
            return Instant::now();
        }
        std::thread::sleep(pause);
    }
    panic!("{id} never came");
}

#[test]
#[ignore = "figures: make soak"]
fn a_new_stream_plays_at_an_edge_soon_after_its_first_segment() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let (mut waited_for, mut unheard_of) = (Vec::new(), Vec::new());
    for n in 0..STREAMS {
        let id = format!("new-{n}");
        let _encoder = StubbornEncoder::publish(&cluster.rtmp(&id), &pattern());
        let origins: Vec<&Weir> = cluster.origins.iter().collect();
        let (asked_all_along, asked_late) = (&cluster.edges[0], &cluster.edges[1]);
        let (cut, seen, late) = std::thread::scope(|scope| {
            let id = id.as_str();
            let seen =
                scope.spawn(move || playable(&[asked_all_along], id, Duration::from_millis(5)));
            let cut = playable(&origins, id, Duration::from_millis(1));
            let late = playable(&[asked_late], id, Duration::from_millis(1));
            (cut, seen.join().unwrap(), late)
        });
        waited_for.push(seen.saturating_duration_since(cut));
        unheard_of.push(late.saturating_duration_since(cut));
        wait_for("both edges have it", || {
            let url = |edge: &Weir| edge.url(&format!("/LiveApp/streams/{id}.m3u8"));
            let there = |edge: &Weir| request("GET", &url(edge)).is_ok_and(|a| a.status == 200);
            cluster.edges.iter().all(there).then_some(())
        });
    }
    for (what, mut waits) in [
        ("that was asked for it all along", waited_for),
        ("that never heard of it", unheard_of),
    ] {
        waits.sort();
        println!(
            "{STREAMS} streams, from the first playlist at the origin to that of an edge {what}: \
             median {:?}, longest {:?}",
            waits[STREAMS / 2],
            waits[STREAMS - 1]
        );
    }
}
