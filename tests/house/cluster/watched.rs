//! Who watches, as REST tells it: the viewers of all edges together.

use super::live;
use crate::support::{Cluster, get, request_with, wait_for};

#[test]
fn viewers_of_all_edges_are_added_up_and_leave() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let _encoder = live(&cluster, "cam");
    // Three at one edge, two at the other.
    let watch = || {
        for (edge, viewers) in [(0, 1..4), (1, 4..6)] {
            for viewer in viewers {
                let url = cluster.edges[edge].url("/LiveApp/streams/cam/video.m3u8");
                let from = format!("192.0.2.{viewer}");
                let headers = [("X-Forwarded-For", from.as_str())];
                request_with("GET", &url, &headers).unwrap();
            }
        }
    };
    let told = |path: &str| {
        let url = cluster.origins[1].url(&format!("/LiveApp/rest/v2/broadcasts/{path}"));
        get(&url).json()
    };
    // Whoever waited for the stream counts as well, until it is forgotten.
    wait_for("five viewers", || {
        watch();
        (told("cam/broadcast-statistics")["totalHLSWatchersCount"] == 5).then_some(())
    });
    wait_for("five in all", || {
        watch();
        (told("total-broadcast-statistics")["totalHLSWatchersCount"] == 5).then_some(())
    });
    let cam = told("cam");
    assert_eq!(
        (&cam["hlsViewerCount"], &cam["anyoneWatching"]),
        (&5.into(), &true.into())
    );
    wait_for("nobody", || {
        (told("cam/broadcast-statistics")["totalHLSWatchersCount"] == 0).then_some(())
    });
}
