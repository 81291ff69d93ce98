//! What edges say of viewers reaches the stream's record, and nobody else's word does.

use weir_cluster::ClusterKey;
use weir_cluster::audience::{HEADER, Told};

use crate::feed::{Source, send};
use crate::house::{House, START_MS, until};

const VIDEO: &str = "/live/streams/s/video.m3u8";

#[tokio::test(flavor = "multi_thread")]
async fn the_record_holds_the_sum_of_what_edges_say() {
    let house = House::new(|options| options.checkpoint_interval_ms = 100);
    let publisher = house.publish("s").await.unwrap();
    send(&publisher, &Source::default().events()).await;
    house.playlist(VIDEO, |text| text.contains(".m4s")).await;

    let (ours, theirs) = (
        ClusterKey::fixed("the key of the tests").mint(START_MS),
        ClusterKey::fixed("another key").mint(START_MS),
    );
    let say = async |edge: u64, viewers: u32, token: &str| {
        let told = Told { edge, viewers }.to_string();
        let headers = [(HEADER, told.as_str()), (weir_cluster::key::HEADER, token)];
        assert_eq!(house.ask_with("GET", VIDEO, &headers).await.status(), 200);
    };
    say(9, 1_000_000, &theirs).await;
    say(9, 1_000_000, "").await;
    say(1, 40, &ours).await;
    say(2, 3, &ours).await;
    say(1, 39, &ours).await;
    let watched = async |viewers: u32| {
        until("the record says who watches", || async {
            let record = house.record("s").await.unwrap();
            assert!(record.hls_viewer_count <= 43, "{record:?}");
            record.hls_viewer_count == viewers
        })
        .await;
    };
    watched(42).await;
    say(2, 0, &ours).await;
    watched(39).await;
}
