//! A node's API on a store of its own, and a store that does not answer.

mod away;

pub(crate) use away::Away;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, Bytes};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use weir_api::{
    ApiMetrics, ApiState, AppSecurity, AppsAdmin, AppsError, Asset, Assets, Management,
    ManagementOptions, NodeInfo, Peer, PublicRtmp, Rooms,
};
use weir_cluster::apps::Apps;
use weir_cluster::embedded::EmbeddedStore;
use weir_cluster::{
    AppName, Broadcast, BroadcastStatus, Claim, ClusterKey, EpochEnd, Fields, Kind, ManualClock,
    NodeRecord, NodeRole, Ownership, Place, PublishType, Store, StreamKey,
};
use weir_conf::app::AppSettings;

/// The time at which every test begins, ms since the Unix epoch.
pub(crate) const START_MS: i64 = 1_800_000_000_000;

/// A node's API.
pub(crate) struct Api {
    pub(crate) router: Router,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) store: Arc<dyn Store>,
    apps: Arc<dyn AppsAdmin>,
    _folder: Option<tempfile::TempDir>,
}

impl Api {
    /// On a fresh embedded store.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(START_MS));
        let path = folder.path().join("store.redb");
        let store = Arc::new(EmbeddedStore::open(&path, clock.clone()).unwrap());
        let mut api = Self::wired(store, clock, "node-1", Rooms::none());
        api._folder = Some(folder);
        api
    }

    /// On a fresh embedded store, with the cluster's own applications and these settings.
    pub(crate) async fn managed(options: ManagementOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(START_MS));
        let path = folder.path().join("store.redb");
        let store = Arc::new(EmbeddedStore::open(&path, clock.clone()).unwrap());
        let seeds =
            ["LiveApp", "live"].map(|a| (AppName::parse(a).unwrap(), AppSettings::default()));
        let stop = CancellationToken::new();
        let apps = Apps::open_at(
            store.clone(),
            seeds.into(),
            AppSettings::default(),
            clock.clone(),
            stop,
        )
        .await;
        let mut api = Self::build(
            store,
            clock,
            "node-1",
            Rooms::none(),
            Arc::new(apps),
            options,
        );
        api._folder = Some(folder);
        api
    }

    /// Sets settings of LiveApp.
    pub(crate) async fn set(&self, settings: serde_json::Value) {
        let fields = settings.as_object().unwrap().clone();
        let app = AppName::parse("LiveApp").unwrap();
        self.apps.change(&app, fields).await.unwrap();
    }

    /// On any store.
    pub(crate) fn on(store: Arc<dyn Store>) -> Self {
        Self::wired(
            store,
            Arc::new(ManualClock::at(START_MS)),
            "node-1",
            Rooms::none(),
        )
    }

    /// A node called `id` on any store, with these rooms.
    pub(crate) fn wired(
        store: Arc<dyn Store>,
        clock: Arc<ManualClock>,
        id: &str,
        rooms: Rooms,
    ) -> Self {
        let options = ManagementOptions::default();
        Self::build(
            store,
            clock,
            id,
            rooms,
            Arc::new(TwoApps::default()),
            options,
        )
    }

    fn build(
        store: Arc<dyn Store>,
        clock: Arc<ManualClock>,
        id: &str,
        rooms: Rooms,
        apps: Arc<dyn AppsAdmin>,
        options: ManagementOptions,
    ) -> Self {
        let registry = prometheus::Registry::new();
        let state = ApiState {
            store: Arc::clone(&store),
            rooms,
            clock: clock.clone(),
            metrics: ApiMetrics::register(&registry).unwrap(),
            registry,
            node: NodeInfo {
                id: id.to_owned(),
                ip: "10.0.0.7".to_owned(),
                role: NodeRole::Edge,
                version: "0.1.0".to_owned(),
                host: "edge1.example".to_owned(),
                rtmp: PublicRtmp {
                    host: Some("live.example".to_owned()),
                    port: 1935,
                },
            },
            management: Management {
                apps: Arc::clone(&apps),
                cluster: Arc::new(cluster_key()),
                log: None,
                options,
            },
            assets: Arc::new(Pages),
        };
        Self {
            router: weir_api::router(state),
            clock,
            store,
            apps,
            _folder: None,
        }
    }

    /// Asks for `path`.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, &[]).await
    }

    /// Asks with a method and headers.
    pub(crate) async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.ask_with(method, path, headers, Body::empty()).await
    }

    /// Sends JSON.
    pub(crate) async fn send(&self, method: Method, path: &str, json: serde_json::Value) -> Answer {
        let headers = [("content-type", "application/json")];
        self.ask_with(method, path, &headers, Body::from(json.to_string()))
            .await
    }

    /// A record as the store has it.
    pub(crate) async fn stored(&self, kind: Kind, key: &str) -> Option<Fields> {
        let app = AppName::parse("LiveApp").unwrap();
        self.store
            .get(&Place::in_app(kind, &app, [key]))
            .await
            .unwrap()
    }

    /// Asks with a method, headers and a body, from this machine; the management REST as a node of the cluster.
    pub(crate) async fn ask_with(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Body,
    ) -> Answer {
        let token = cluster_key().mint(START_MS);
        let mut headers = headers.to_vec();
        if path.starts_with("/rest/") {
            headers.push(("clusterauthorization", &token));
        }
        self.ask_from("127.0.0.1", method, path, &headers, body)
            .await
    }

    /// Asks from an address, with no more than these headers.
    pub(crate) async fn ask_from(
        &self,
        peer: &str,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Body,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        request = request.extension(Peer(peer.parse().unwrap()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer(Response::from_parts(parts, bytes))
    }

    /// Publishes `id` in LiveApp as RTMP would; the record outlives it when `kept`.
    pub(crate) async fn publish(&self, id: &str, kept: bool) -> Ownership {
        let key = StreamKey::parse("LiveApp", id).unwrap();
        let claim = Claim {
            broadcast: Broadcast {
                status: BroadcastStatus::Broadcasting,
                publish_type: Some(PublishType::Rtmp),
                zombi: !kept,
                start_time: START_MS,
                update_time: START_MS,
                width: 1920,
                height: 1080,
                bitrate: 4_000_000,
                speed_milli: 1_002,
                ..Broadcast::new(&key.id, START_MS)
            },
            key,
            node_id: "origin-1".to_owned(),
            origin_adress: "10.0.0.9:5082".to_owned(),
            now_ms: START_MS,
            segment_duration_ms: 2_000,
        };
        self.store.claim(claim).await.unwrap()
    }

    /// Ends it.
    pub(crate) async fn unpublish(&self, id: &str, owner: &Ownership) {
        let key = StreamKey::parse("LiveApp", id).unwrap();
        let end = EpochEnd::beginning(START_MS);
        self.store.release(&key, owner.epoch, end).await.unwrap();
    }
}

/// The key of every test's cluster.
pub(crate) fn cluster_key() -> ClusterKey {
    ClusterKey::fixed("the key of the tests' cluster")
}

/// Two applications with default settings, and no others.
#[derive(Debug, Default)]
struct TwoApps {
    settings: Mutex<HashMap<AppName, Fields>>,
}

#[async_trait]
impl AppsAdmin for TwoApps {
    fn names(&self) -> Vec<AppName> {
        ["LiveApp", "live"]
            .map(|a| AppName::parse(a).unwrap())
            .into()
    }
    fn security(&self, app: &str) -> Option<AppSecurity> {
        ["LiveApp", "live"]
            .contains(&app)
            .then(AppSecurity::default)
    }
    fn settings(&self, app: &AppName) -> Option<Fields> {
        let all = self.settings.lock().unwrap();
        Some(all.get(app).cloned().unwrap_or_default())
    }
    async fn create(&self, _: &AppName) -> Result<(), AppsError> {
        Err(AppsError::Exists)
    }
    async fn delete(&self, _: &AppName) -> Result<(), AppsError> {
        Err(AppsError::NoSuchApp)
    }
    async fn change(&self, app: &AppName, set: Fields) -> Result<(), AppsError> {
        self.settings.lock().unwrap().insert(app.clone(), set);
        Ok(())
    }
}

/// An answer, read to its end.
pub(crate) struct Answer(Response<Bytes>);

impl Answer {
    pub(crate) fn status(&self) -> StatusCode {
        self.0.status()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.0.headers().get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(self.0.body()).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        assert_eq!(self.header("content-type"), "application/json");
        serde_json::from_slice(self.0.body()).unwrap()
    }

    /// A `Result` that tells of success.
    pub(crate) fn success(&self) -> serde_json::Value {
        assert_eq!(self.status(), StatusCode::OK, "{}", self.text());
        let json = self.json();
        assert_eq!(json["success"], true, "{json}");
        json
    }

    /// The message of a `Result` that tells of a failure.
    pub(crate) fn failure(&self) -> String {
        let json = self.json();
        assert_eq!(json["success"], false, "{json}");
        assert_eq!(json["errorId"], 0, "{json}");
        json["message"].as_str().unwrap().to_owned()
    }
}

/// A heartbeat of node `id` at `at_ms`.
pub(crate) fn heartbeat(id: &str, at_ms: i64) -> NodeRecord {
    NodeRecord {
        id: id.to_owned(),
        ip: "10.0.0.7".to_owned(),
        role: NodeRole::Edge,
        last_update_time: at_ms,
        memory: "812/16000".to_owned(),
        cpu: "7".to_owned(),
        db_query_average_time_ms: 3,
        version: "0.1.0".to_owned(),
        ..NodeRecord::default()
    }
}

/// Three files.
#[derive(Debug)]
struct Pages;

impl Assets for Pages {
    fn get(&self, path: &str) -> Option<Asset> {
        let (bytes, gzip, content_type, etag, immutable) = match path {
            "index.html" => (
                "<html>list</html>",
                None,
                "text/html; charset=utf-8",
                "\"i\"",
                false,
            ),
            "play.html" => (
                "<html>player</html>",
                None,
                "text/html; charset=utf-8",
                "\"p\"",
                false,
            ),
            "assets/play-AAAABBBB.js" => (
                "play()",
                Some("zipped"),
                "text/javascript; charset=utf-8",
                "\"j\"",
                true,
            ),
            _ => return None,
        };
        Some(Asset {
            bytes: Bytes::from_static(bytes.as_bytes()),
            gzip: gzip.map(|zipped| Bytes::from_static(zipped.as_bytes())),
            content_type,
            etag: etag.to_owned(),
            immutable,
        })
    }
}
