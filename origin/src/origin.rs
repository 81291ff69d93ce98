//! The origin as the process sees it: made, started, asked to admit, asked to serve, shut down.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use weir_cluster::{AppName, ClusterKey, Store, StreamKey, WallClock};

use crate::apps::AppSource;
use crate::ingest::{Admission, PublishRefusal, PublishRequest, Publisher};
use crate::metrics::{ConnectionMetrics, Metrics};
use crate::options::OriginOptions;
use crate::peers::Peers;
use crate::serve;
use crate::stream::follow;
use crate::stream::{self, Context};
use crate::streams::{Ask, PublishAsk, Streams, YieldReply};

/// How often admission tries again when a stream's task ended under its hands.
const ADMISSION_TRIES_MAX: usize = 3;
/// How soon the store is asked again to free what was left behind.
const CLEAN_UP_AGAIN: Duration = Duration::from_secs(1);

/// One node's origin: its streams, the door for publishers, the objects for edges.
///
/// A live id has one publisher, and a second is refused, except in the grace time after the first
/// one's connection was lost. While the first connection is dead without the node knowing it (no
/// TCP reset came), its own encoder is refused at this node, too, until the protocol session finds
/// out: its stall timeout bounds that time. To let the newer one win would let anybody who knows an
/// id take a stream from its publisher. At another node it is taken in once the first has been
/// silent for [`crate::options::YIELD_SILENCE_MS`].
#[derive(Debug)]
pub struct Origin {
    context: Arc<Context>,
    apps: Arc<dyn AppSource>,
    key: ClusterKey,
}

/// What an origin is given by the house.
#[derive(Clone, Debug)]
pub struct Links {
    /// The cluster's memory.
    pub store: Arc<dyn Store>,
    /// The time of day; the store's, where there is one for all.
    pub clock: Arc<dyn WallClock>,
    /// The other nodes.
    pub peers: Arc<dyn Peers>,
    /// The applications.
    pub apps: Arc<dyn AppSource>,
    /// By which other nodes are known.
    pub key: ClusterKey,
}

/// An origin's sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Publishers connected now.
    pub publishers: u32,
    /// Media bytes received since the start.
    pub received_bytes: u64,
    /// Body bytes of objects served since the start.
    pub sent_bytes: u64,
}

impl Origin {
    /// Makes an origin that owns no stream yet, and registers its metrics.
    ///
    /// # Errors
    /// When `registry` holds metrics of these names already.
    pub fn new(
        options: OriginOptions,
        links: Links,
        registry: &prometheus::Registry,
    ) -> Result<Arc<Self>, prometheus::Error> {
        let metrics = Metrics::register(registry)?;
        let streams = Arc::new(Streams::new(options.streams_max, metrics.streams.clone()));
        let (apps, key) = (links.apps, links.key);
        Ok(Arc::new(Self {
            context: Arc::new(Context {
                options,
                store: links.store,
                clock: links.clock,
                peers: links.peers,
                metrics,
                streams,
                clean: watch::Sender::new(true),
                shutdown: CancellationToken::new(),
                tasks: TaskTracker::new(),
            }),
            apps,
            key,
        }))
    }

    /// Frees what this node left behind when it last ended, and waits for that, but not longer
    /// than [`OriginOptions::store_timeout_ms`]: while the store is away it is tried again each
    /// second, and until it succeeds publishers are let in as the store's absence allows. To be
    /// called before the first publisher is admitted.
    pub async fn start(&self) {
        let context = &self.context;
        context.clean.send_replace(false);
        let mut clean = context.clean.subscribe();
        context.tasks.spawn(clean_up(Arc::clone(context)));
        let limit = Duration::from_millis(context.options.store_timeout_ms);
        if tokio::time::timeout(limit, clean.wait_for(|clean| *clean))
            .await
            .is_err()
        {
            tracing::warn!("the store does not answer; this node starts without it");
        }
    }

    /// The media objects, as routes under `/{app}/streams/`, and what other nodes ask for; see
    /// [`crate`] for the paths.
    pub fn router(&self) -> Router {
        serve::router(Arc::clone(&self.context), self.key.clone())
    }

    /// Follows the store's changes until the origin is shut down, so that a stream that another
    /// node has begun a newer epoch of stops here at once, and not with its next checkpoint. Ends
    /// at once where the store tells no changes.
    pub async fn follow(&self) {
        follow::follow(&self.context).await;
    }

    /// An application is no more: closes its publishers and ends its streams.
    pub fn end_app(&self, app: &AppName) {
        self.end_apps_but(|other| other != app);
    }

    /// The same for all applications that `stay` does not name.
    pub fn end_apps_but(&self, stay: impl Fn(&AppName) -> bool) {
        for handle in self.context.streams.of_apps(|app| !stay(app)) {
            // An owner with a full inbox is asked again with its next publisher: it is refused.
            let _ = handle.asks.try_send(Ask::AppDeleted);
        }
    }

    /// Ends a stream that is published here, or whose publisher may come back, and closes its publisher. Returns
    /// when the stream is given back to the store, or [`OriginOptions::store_timeout_ms`] is over; `false` when
    /// nobody publishes it here.
    pub async fn stop(&self, key: &StreamKey) -> bool {
        let Some(handle) = self.context.streams.get(key) else {
            return false;
        };
        let (reply, given_back) = oneshot::channel();
        if handle.asks.send(Ask::Stop(reply)).await.is_err() {
            return false;
        }
        let limit = Duration::from_millis(self.context.options.store_timeout_ms);
        match tokio::time::timeout(limit, given_back).await {
            Ok(answer) => matches!(answer, Ok(YieldReply::Given(_))),
            // It has ended here; the store will be told when it answers.
            Err(_) => true,
        }
    }

    /// What has passed since the start, and what there is now.
    pub fn totals(&self) -> Totals {
        let metrics = &self.context.metrics;
        Totals {
            publishers: u32::try_from(metrics.publishers.get()).unwrap_or(0),
            received_bytes: metrics.received_bytes.get(),
            sent_bytes: metrics.objects.sent_bytes(),
        }
    }

    /// What [`crate::serve_http`] counts connections with.
    pub fn connection_metrics(&self) -> ConnectionMetrics {
        self.context.metrics.connections.clone()
    }

    /// Refuses new publishers, closes those there are, finishes their open segments, ends their
    /// playlists and gives the streams back. What was made stays served. Returns when all is
    /// done or [`OriginOptions::shutdown_timeout_ms`] is over, and then says so in the log.
    pub async fn shutdown(&self) {
        let Context {
            options,
            tasks,
            shutdown,
            ..
        } = &*self.context;
        shutdown.cancel();
        tasks.close();
        let limit = Duration::from_millis(options.shutdown_timeout_ms);
        if tokio::time::timeout(limit, tasks.wait()).await.is_err() {
            tracing::warn!(
                streams = tasks.len(),
                limit_ms = options.shutdown_timeout_ms,
                "streams did not end in time"
            );
        }
    }

    async fn admit(&self, request: PublishRequest) -> Result<Publisher, PublishRefusal> {
        let context = &self.context;
        let key = StreamKey::parse(&request.app, &request.stream)?;
        let Some(app) = self.apps.options(&key.app) else {
            return Err(PublishRefusal::UnknownApp(request.app));
        };
        for _ in 0..ADMISSION_TRIES_MAX {
            if context.shutdown.is_cancelled() {
                return Err(unavailable("the node is stopping"));
            }
            let make = || stream::start(context, key.clone());
            let Some(handle) = context.streams.get_or_make(&key, make) else {
                return Err(unavailable("the node holds as many streams as it may"));
            };
            let (reply, answer) = oneshot::channel();
            let ask = Ask::Publish(PublishAsk {
                request: request.clone(),
                app,
                reply,
            });
            if let Err(tokio::sync::mpsc::error::TrySendError::Full(_)) = handle.asks.try_send(ask)
            {
                return Err(PublishRefusal::StreamIdInUse);
            }
            if let Ok(answer) = answer.await {
                return answer;
            }
            // The task ended before it read this: the next try makes a new one.
        }
        Err(unavailable("the stream is being closed; try again"))
    }
}

#[async_trait]
impl Admission for Origin {
    async fn open(&self, request: PublishRequest) -> Result<Publisher, PublishRefusal> {
        let (peer, name) = (request.peer, (request.app.clone(), request.stream.clone()));
        let answer = self.admit(request).await;
        let result = match &answer {
            Ok(_) => "admitted",
            Err(PublishRefusal::InvalidName(_)) => "invalid_name",
            Err(PublishRefusal::UnknownApp(_)) => "unknown_app",
            Err(PublishRefusal::StreamIdInUse) => "in_use",
            Err(PublishRefusal::OwnerSilent) => "owner_silent",
            Err(PublishRefusal::Unavailable(_)) => "unavailable",
        };
        let publishes = &self.context.metrics.publishes;
        publishes.with_label_values(&[result]).inc();
        if let Err(refusal) = &answer {
            let (app, stream) = name;
            tracing::warn!(%peer, ?app, ?stream, %refusal, "publisher refused");
        }
        answer
    }
}

/// A call is never given up: one that is carried out late would free what is live by then.
async fn clean_up(context: Arc<Context>) {
    let node_id = &context.options.node_id;
    let mut told = false;
    loop {
        let now_ms = context.clock.now_ms();
        let freed = tokio::select! {
            () = context.shutdown.cancelled() => return,
            freed = context.store.release_all_of(node_id, now_ms) => freed,
        };
        match freed {
            Ok(freed) => {
                if freed > 0 {
                    tracing::warn!(freed, "freed streams that this node had left behind");
                }
                context.clean.send_replace(true);
                return;
            }
            Err(error) if !told => {
                tracing::warn!(%error, "cannot free what this node had left behind; trying on");
                told = true;
            }
            Err(_) => {}
        }
        tokio::select! {
            () = context.shutdown.cancelled() => return,
            () = tokio::time::sleep(CLEAN_UP_AGAIN) => {}
        }
    }
}

fn unavailable(why: &str) -> PublishRefusal {
    PublishRefusal::Unavailable(why.to_owned())
}
