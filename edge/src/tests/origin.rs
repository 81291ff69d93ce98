//! A real HTTP server whose answers are set path by path, or steered piece by piece.

use super::house::{PLAYLIST, SEGMENT};
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// A real HTTP server whose answers are set path by path.
#[derive(Clone, Default)]
pub(super) struct Origin {
    pub(super) address: String,
    objects: Arc<Mutex<HashMap<String, Object>>>,
    stop: CancellationToken,
}

#[derive(Default)]
struct Object {
    asked: usize,
    /// The last request's word on viewers.
    told: Option<String>,
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    steered: Option<mpsc::Receiver<Bytes>>,
}

impl Origin {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = Self {
            address: listener.local_addr().unwrap().to_string(),
            ..Self::default()
        };
        let router = axum::Router::new()
            .fallback(answer)
            .with_state(origin.clone());
        let stop = origin.stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = axum::serve(listener, router) => {}
                () = stop.cancelled() => {}
            }
        });
        origin.playlist("#EXTM3U\n1");
        origin.segment(SEGMENT, b"0123456789");
        origin
    }

    pub(super) fn playlist(&self, text: &str) {
        self.playlist_at(PLAYLIST, text);
    }

    pub(super) fn playlist_at(&self, path: &str, text: &str) {
        let headers = [
            ("cache-control", "max-age=1"),
            ("content-type", "application/vnd.apple.mpegurl"),
        ];
        self.set(path, 200, &headers, text.as_bytes());
    }

    pub(super) fn segment(&self, path: &str, body: &[u8]) {
        let headers = [
            ("cache-control", "max-age=3600, immutable"),
            ("content-type", "video/iso.segment"),
        ];
        self.set(path, 200, &headers, body);
    }

    pub(super) fn set(
        &self,
        path: &str,
        status: u16,
        headers: &[(&'static str, &str)],
        body: &[u8],
    ) {
        let mut objects = self.objects.lock().unwrap();
        let object = objects.entry(path.to_owned()).or_default();
        object.status = status;
        object.headers = headers.iter().map(|(n, v)| (*n, (*v).to_owned())).collect();
        object.body = body.to_vec();
    }

    /// The next request for `path` is answered with what is sent to the channel.
    pub(super) fn steer(&self, path: &str, len: Option<usize>) -> mpsc::Sender<Bytes> {
        let (pieces, steered) = mpsc::channel(8);
        self.segment(path, b"");
        let mut objects = self.objects.lock().unwrap();
        let object = objects.entry(path.to_owned()).or_default();
        object.steered = Some(steered);
        if let Some(len) = len {
            object.headers.push(("content-length", len.to_string()));
        }
        pieces
    }

    /// What the last request for `path` said of viewers.
    pub(super) fn told(&self, path: &str) -> Option<String> {
        self.objects.lock().unwrap().get(path)?.told.clone()
    }

    pub(super) fn asked(&self, path: &str) -> usize {
        self.objects
            .lock()
            .unwrap()
            .get(path)
            .map_or(0, |o| o.asked)
    }
}

async fn answer(State(origin): State<Origin>, request: axum::extract::Request) -> Response {
    let mut objects = origin.objects.lock().unwrap();
    let object = objects.entry(request.uri().to_string()).or_default();
    object.asked += 1;
    let told = request.headers().get(weir_cluster::audience::HEADER);
    object.told = told.map(|told| told.to_str().unwrap().to_owned());
    let status = if object.status == 0 {
        404
    } else {
        object.status
    };
    let mut response = Response::builder().status(status);
    for (name, value) in &object.headers {
        response = response.header(*name, value);
    }
    let body = match object.steered.take() {
        None => Body::from(object.body.clone()),
        Some(steered) => Body::from_stream(futures::stream::unfold(steered, |mut steered| async {
            let piece = steered.recv().await?;
            // An empty piece stands for an origin that breaks off.
            let whole = if piece.is_empty() {
                Err("broke off")
            } else {
                Ok(piece)
            };
            Some((whole, steered))
        })),
    };
    response.body(body).unwrap()
}
