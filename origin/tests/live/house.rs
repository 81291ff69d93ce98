//! An origin on a real store, and a viewer that asks its router.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use crate::link::WeakLink;
use crate::town::{Apps, Town};
use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use tempfile::TempDir;
use tower::ServiceExt;
use weir_cluster::embedded::EmbeddedStore;
use weir_cluster::{Broadcast, ClusterKey, ManualClock, PublishType, Store, StreamKey};
use weir_origin::ingest::{Admission, PublishRefusal, PublishRequest, Publisher};
use weir_origin::{AppOptions, Links, Origin, OriginOptions};

/// Long enough for any step here on a loaded machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);
/// How often a condition is looked at.
pub(crate) const GLANCE: Duration = Duration::from_millis(10);
/// Where the tests' wall clock starts, ms since the Unix epoch.
pub(crate) const START_MS: i64 = 1_790_000_000_000;

pub(crate) struct House {
    pub(crate) origin: Arc<Origin>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: ManualClock,
    pub(crate) registry: prometheus::Registry,
    pub(crate) router: Router,
    pub(crate) peers: Arc<Town>,
    pub(crate) apps: Apps,
    folder: Arc<TempDir>,
}

impl House {
    pub(crate) fn new(change: impl FnOnce(&mut OriginOptions)) -> Self {
        crate::logs::record();
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let clock = ManualClock::at(START_MS);
        let path = folder.path().join("store.redb");
        let store = EmbeddedStore::open(&path, Arc::new(clock.clone())).unwrap();
        let peers = Arc::new(Town::new(Arc::new(clock.clone())));
        Self::with_store(Arc::new(store), folder, clock, peers, "origin-1", change)
    }

    /// A house whose way to its store can be cut.
    pub(crate) fn with_weak_link(change: impl FnOnce(&mut OriginOptions)) -> (Self, Arc<WeakLink>) {
        let house = Self::new(|_| {});
        let link = Arc::new(WeakLink::new(Arc::clone(&house.store)));
        let store: Arc<dyn Store> = Arc::<WeakLink>::clone(&link);
        let (folder, clock, peers) = (house.folder, house.clock, house.peers);
        (
            Self::with_store(store, folder, clock, peers, "origin-1", change),
            link,
        )
    }

    /// Another node on the same store.
    pub(crate) fn neighbour(&self, node_id: &str) -> Self {
        let (folder, clock) = (Arc::clone(&self.folder), self.clock.clone());
        let (store, peers) = (Arc::clone(&self.store), Arc::clone(&self.peers));
        Self::with_store(store, folder, clock, peers, node_id, |_| {})
    }

    /// Another node, whose own way to the store can be cut.
    pub(crate) fn weak_neighbour(&self, node_id: &str) -> (Self, Arc<WeakLink>) {
        let link = Arc::new(WeakLink::new(Arc::clone(&self.store)));
        let store: Arc<dyn Store> = Arc::<WeakLink>::clone(&link);
        let (folder, clock) = (Arc::clone(&self.folder), self.clock.clone());
        let peers = Arc::clone(&self.peers);
        (
            Self::with_store(store, folder, clock, peers, node_id, |_| {}),
            link,
        )
    }

    /// Renews this node's lease, as its heartbeat would.
    pub(crate) async fn beat(&self, node_id: &str) {
        self.store.renew_lease(node_id).await.unwrap();
    }

    fn with_store(
        store: Arc<dyn Store>,
        folder: Arc<TempDir>,
        clock: ManualClock,
        peers: Arc<Town>,
        node_id: &str,
        change: impl FnOnce(&mut OriginOptions),
    ) -> Self {
        let mut options = OriginOptions::new(node_id, format!("{node_id}:5082"));
        change(&mut options);
        let registry = prometheus::Registry::new();
        // Media comes in faster than real time here: everything stays listed.
        let app = AppOptions {
            segment_duration_ms: 1_000,
            playlist_segments: 50,
        };
        let apps = Apps::default();
        apps.set(Some(app));
        let links = Links {
            store: Arc::clone(&store),
            clock: Arc::new(clock.clone()),
            peers: Arc::clone(&peers) as Arc<dyn weir_origin::Peers>,
            apps: Arc::new(apps.clone()),
            key: ClusterKey::fixed("the key of the tests"),
        };
        let origin = Origin::new(options, links, &registry).unwrap();
        let router = origin.router();
        peers.join(&format!("{node_id}:5082"), &router);
        Self {
            origin,
            store,
            clock,
            registry,
            router,
            peers,
            apps,
            folder,
        }
    }

    pub(crate) async fn publish(&self, stream: &str) -> Result<Publisher, PublishRefusal> {
        self.publish_to("live", stream).await
    }

    pub(crate) async fn publish_to(
        &self,
        app: &str,
        stream: &str,
    ) -> Result<Publisher, PublishRefusal> {
        let request = PublishRequest {
            peer: "192.0.2.9:40000".parse().unwrap(),
            app: app.into(),
            stream: stream.into(),
            query: String::new(),
            publish_type: PublishType::Rtmp,
            user_agent: Some("FMLE/3.0".into()),
        };
        self.origin.open(request).await
    }

    pub(crate) async fn record(&self, stream: &str) -> Option<Broadcast> {
        let key = StreamKey::parse("live", stream).unwrap();
        self.store.broadcast(&key).await.unwrap()
    }

    pub(crate) async fn ask(&self, method: &str, path: &str) -> Response<Body> {
        self.ask_with(method, path, &[]).await
    }

    pub(crate) async fn ask_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Response<Body> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// An object's bytes, `None` for 404 and 503.
    pub(crate) async fn get(&self, path: &str) -> Option<Bytes> {
        let response = self.ask("GET", path).await;
        let found = response.status().is_success();
        let none = response.status() == 404 || response.status() == 503;
        assert!(found || none, "{path}: {response:?}");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        found.then_some(body)
    }

    pub(crate) async fn text(&self, path: &str) -> String {
        let bytes = self.get(path).await.unwrap_or_default();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    /// Waits until the playlist at `path` passes `holds`, and returns it.
    pub(crate) async fn playlist(&self, path: &str, holds: impl Fn(&str) -> bool) -> String {
        let mut last = String::new();
        let seen = tokio::time::timeout(DEADLINE, async {
            loop {
                last = self.text(path).await;
                if holds(&last) {
                    return;
                }
                tokio::time::sleep(GLANCE).await;
            }
        });
        let seen = seen.await;
        assert!(
            seen.is_ok(),
            "{path} never came to be as it should:\n{last}"
        );
        last
    }

    /// Fetches a media playlist's segments with their init segments and joins them.
    pub(crate) async fn join(&self, path: &str, playlist: &str) -> Bytes {
        let folder = path.rsplit_once('/').unwrap().0;
        let (mut joined, mut map) = (Vec::new(), "");
        for line in playlist.lines() {
            if let Some(value) = line.strip_prefix("#EXT-X-MAP:URI=\"") {
                let uri = value.split('"').next().unwrap();
                if uri != map {
                    joined.extend(self.get(&format!("{folder}/{uri}")).await.unwrap());
                    map = uri;
                }
            } else if !line.is_empty() && !line.starts_with('#') {
                joined.extend(self.get(&format!("{folder}/{line}")).await.unwrap());
            }
        }
        Bytes::from(joined)
    }

    pub(crate) fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// A counter or gauge, by its line in the text format without the value.
    pub(crate) fn metric(&self, line: &str) -> f64 {
        let mut text = String::new();
        let encoder = prometheus::TextEncoder::new();
        encoder
            .encode_utf8(&self.registry.gather(), &mut text)
            .unwrap();
        let value = text
            .lines()
            .find_map(|l| l.strip_prefix(line)?.strip_prefix(' '));
        value.map_or(0.0, |value| value.parse().unwrap())
    }
}

/// Waits for `holds`.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(GLANCE).await;
        }
    };
    assert!(
        tokio::time::timeout(DEADLINE, wait).await.is_ok(),
        "never: {what}"
    );
}

/// Decodes `file` whole; returns what FFmpeg complains of.
pub(crate) fn decode(file: &PathBuf) -> String {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg
        .args(["-v", "error", "-i"])
        .arg(file)
        .args(["-f", "null", "-"]);
    let output = ffmpeg.stdin(Stdio::null()).output().unwrap();
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What ffprobe reads of `file`, one value a line.
pub(crate) fn probe(file: &PathBuf, entries: &str) -> Vec<String> {
    let mut ffprobe = Command::new("ffprobe");
    ffprobe
        .args(["-v", "error", "-of", "csv=p=0", "-show_entries", entries])
        .arg(file);
    let output = ffprobe.stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| line.trim_end_matches(',').to_owned())
        .collect()
}
