//! What the origin logs, in the form an operator reads.

use std::io::{self, Write};
use std::sync::{Arc, LazyLock, Mutex};

use tracing_subscriber::fmt::MakeWriter;

use crate::feed::{Source, send};
use crate::house::House;

/// What all tests of this program log; a test finds its own lines by its stream's name. One
/// subscriber for all, because a log statement first met without one may stay off.
static LINES: LazyLock<Lines> = LazyLock::new(|| {
    let lines = Lines::default();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::INFO)
        .with_ansi(false)
        .with_writer(lines.clone())
        .init();
    lines
});

/// Starts to record.
pub(crate) fn record() {
    LazyLock::force(&LINES);
}

#[derive(Clone, Debug, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Lines {
    fn with(&self, parts: &[&str]) -> usize {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let lines = text.lines();
        lines
            .filter(|line| parts.iter().all(|part| line.contains(part)))
            .count()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn log_and_metric_agree_on_what_left_the_origin() {
    let lines = &*LINES;
    let house = House::new(|_| {});
    let publisher = house.publish("logged").await.unwrap();
    send(&publisher, &Source::default().events()).await;
    drop(publisher);
    let path = "/live/streams/logged/video.m3u8";
    let video = house
        .playlist(path, |text| text.matches("#EXTINF").count() == 6)
        .await;
    house.join(path, &video).await;
    assert_eq!(house.get("/live/streams/logged/1/v0.m4s").await, None);
    let _ = house.publish("../logged").await.unwrap_err();

    let access = ["weir_origin::access", "status=200", "/logged/"];
    for uri in video.lines().filter(|line| line.ends_with(".m4s")) {
        let path = format!("path=\"/live/streams/logged/{uri}\"");
        assert_eq!(lines.with(&[&path, access[0], access[1]]), 1, "{path}");
    }
    let segments = house.metric("weir_origin_objects_total{kind=\"segment\"}");
    assert!((segments - 6.0).abs() < 0.1, "{segments}");
    let inits = house.metric("weir_origin_objects_total{kind=\"init\"}");
    assert!((inits - 1.0).abs() < 0.1, "{inits}");
    assert_eq!(lines.with(&access), 7);
    let who = ["peer=192.0.2.9:40000", "app=live", "stream=logged"];
    for what in ["publisher admitted", "publisher lost"] {
        assert_eq!(lines.with(&[what, who[0], who[1], who[2]]), 1, "{what}");
    }
    let refused = ["publisher refused", who[0], "\"../logged\""];
    assert_eq!(lines.with(&refused), 1);
}
