//! Several origins in one process: they reach each other's routers by address, with real tokens,
//! and any of them can be made silent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use tower::ServiceExt;
use weir_cluster::{AppName, ClusterKey, StreamKey, WallClock};
use weir_origin::{AppOptions, AppSource, HOP_HEADER, Peers, YieldAnswer, yield_path};

/// One application, `live`, whose settings a test changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Apps(Arc<Mutex<Option<AppOptions>>>);

impl Apps {
    pub(crate) fn set(&self, live: Option<AppOptions>) {
        *self.0.lock().unwrap() = live;
    }
}

impl AppSource for Apps {
    fn options(&self, app: &AppName) -> Option<AppOptions> {
        let live = *self.0.lock().unwrap();
        live.filter(|_| app.as_str() == "live")
    }
}

/// The nodes of a test.
#[derive(Debug)]
pub(crate) struct Town {
    clock: Arc<dyn WallClock>,
    routers: Mutex<BTreeMap<String, Router>>,
    silent: Mutex<BTreeSet<String>>,
    /// What every node remembers of where the stream is.
    remembered: Mutex<Option<String>>,
    /// The paths asked for, with the node they were asked of.
    pub(crate) asked: Mutex<Vec<String>>,
}

impl Town {
    pub(crate) fn new(clock: Arc<dyn WallClock>) -> Self {
        Self {
            clock,
            routers: Mutex::default(),
            silent: Mutex::default(),
            remembered: Mutex::default(),
            asked: Mutex::default(),
        }
    }

    pub(crate) fn join(&self, adress: &str, router: &Router) {
        let mut routers = self.routers.lock().unwrap();
        routers.insert(adress.to_owned(), router.clone());
    }

    /// The node answers nobody any more.
    pub(crate) fn silence(&self, adress: &str) {
        self.silent.lock().unwrap().insert(adress.to_owned());
    }

    pub(crate) fn remember(&self, adress: &str) {
        *self.remembered.lock().unwrap() = Some(adress.to_owned());
    }

    async fn call(&self, adress: &str, request: Request<Body>) -> Option<Response<Body>> {
        let path = request.uri().path();
        self.asked.lock().unwrap().push(format!("{adress}{path}"));
        if self.silent.lock().unwrap().contains(adress) {
            return None;
        }
        let router = self.routers.lock().unwrap().get(adress)?.clone();
        router.oneshot(request).await.ok()
    }
}

#[async_trait]
impl Peers for Town {
    async fn owner_of(&self, _: &StreamKey, _: bool) -> Option<Arc<str>> {
        let remembered = self.remembered.lock().unwrap();
        remembered.as_deref().map(Arc::from)
    }

    async fn ask_to_yield(&self, adress: &str, stream: &StreamKey) -> YieldAnswer {
        let key = ClusterKey::fixed("the key of the tests");
        let token = key.mint(self.clock.now_ms());
        let request = Request::post(yield_path(stream))
            .header(weir_cluster::key::HEADER, token)
            .body(Body::empty())
            .unwrap();
        let Some(answer) = self.call(adress, request).await else {
            return YieldAnswer::Silent("silent".into());
        };
        match answer.status() {
            StatusCode::OK => {
                let body = answer.into_body().collect().await.unwrap().to_bytes();
                YieldAnswer::Given(serde_json::from_slice(&body).unwrap())
            }
            StatusCode::CONFLICT => YieldAnswer::Publishing,
            StatusCode::NOT_FOUND => YieldAnswer::NotHeld,
            status => YieldAnswer::Silent(status.to_string()),
        }
    }

    async fn fetch(&self, adress: &str, target: &str) -> Response<Body> {
        let request = Request::get(target).header(HOP_HEADER, "1");
        let request = request.body(Body::empty()).unwrap();
        self.call(adress, request).await.unwrap_or_else(|| {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::BAD_GATEWAY;
            response
        })
    }
}
