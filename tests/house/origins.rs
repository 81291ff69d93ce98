//! Two origins on one MongoDB: streams pass between them, and never belong to both.

use crate::support::encoder::Pattern;
use crate::support::{Encoder, Mongod, Weir, request, wait_for};

const VIDEO: &str = "/LiveApp/streams/cam1/video.m3u8";

fn node(mongod: &Mongod, role: &str) -> Weir {
    Weir::builder()
        .role(role)
        .set("db.type", "mongodb")
        .set("db.host", &mongod.address())
        .set("db.options", "replicaSet=rs0")
        .set("http.host", "127.0.0.1")
        .start()
}

fn playlist(origin: &Weir) -> Option<String> {
    let url = format!("http://{}{VIDEO}", origin.address("origin http"));
    let answer = request("GET", &url).ok()?;
    (answer.status == 200).then(|| answer.text())
}

/// Numbers of the segments listed, and the epoch of the last.
fn listed(playlist: &str) -> (Vec<u64>, String) {
    let uris: Vec<&str> = playlist.lines().filter(|l| l.ends_with(".m4s")).collect();
    let number = |uri: &&str| {
        let (_, name) = uri.rsplit_once("/v").unwrap();
        name.trim_end_matches(".m4s").parse().unwrap()
    };
    let epoch = uris.last().and_then(|uri| uri.split('/').next());
    (
        uris.iter().map(number).collect(),
        epoch.unwrap_or_default().to_owned(),
    )
}

#[test]
fn a_publisher_goes_on_at_the_other_origin_and_any_of_them_plays_it() {
    let Some(mongod) = Mongod::start() else {
        return;
    };
    let (one, two, edge) = (
        node(&mongod, "origin"),
        node(&mongod, "origin"),
        node(&mongod, "edge"),
    );
    let encoder = Encoder::publish(&one.rtmp("cam1"), &Pattern::default());
    edge.wait_live("cam1");
    // The wrong node fetches it.
    let (before, first_epoch) = wait_for("the other origin plays it", || {
        playlist(&two).map(|text| listed(&text))
    });
    // While one publishes, the other is refused, and the stream goes on.
    let refused = Encoder::publish(&two.rtmp("cam1"), &Pattern::default());
    two.wait_log(&["publisher refused", "in use"]);
    drop(refused);
    encoder.kill();
    one.wait_log(&["publisher lost"]);
    let _encoder = Encoder::publish(&two.rtmp("cam1"), &Pattern::default());
    let after = wait_for("it goes on", || {
        let text = request("GET", &edge.url(VIDEO))
            .ok()
            .filter(|a| a.status == 200)?
            .text();
        (listed(&text).1 != first_epoch).then_some(text)
    });
    assert!(listed(&after).0[0] > before[0], "{after}");
    assert!(after.contains("#EXT-X-DISCONTINUITY"), "{after}");
    assert!(!after.contains("#EXT-X-ENDLIST"), "{after}");
    wait_for("the former origin passes on", || {
        playlist(&one).filter(|text| listed(text).1 == listed(&after).1)
    });
}

#[test]
fn an_origin_that_is_killed_loses_its_streams_to_the_one_asked() {
    let Some(mongod) = Mongod::start() else {
        return;
    };
    let (mut one, two) = (node(&mongod, "origin"), node(&mongod, "origin"));
    let encoder = Encoder::publish(&one.rtmp("cam1"), &Pattern::default());
    let before = wait_for("live", || playlist(&one));
    one.kill();
    encoder.kill();
    let _encoder = Encoder::publish(&two.rtmp("cam1"), &Pattern::default());
    two.wait_log(&["publisher admitted", "Fresh"]);
    let after = wait_for("it goes on", || playlist(&two));
    assert!(
        listed(&after).0[0] > *listed(&before).0.last().unwrap(),
        "{after}"
    );
}
