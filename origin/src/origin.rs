//! The origin as the process sees it: made, started, asked to admit, asked to serve, shut down.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use weir_cluster::{Store, StoreError, StreamKey, WallClock};

use crate::ingest::{Admission, PublishRefusal, PublishRequest, Publisher};
use crate::metrics::{ConnectionMetrics, Metrics};
use crate::options::OriginOptions;
use crate::serve;
use crate::stream::{self, Context};
use crate::streams::{Ask, Streams};

/// How often admission tries again when a stream's task ended under its hands.
const ADMISSION_TRIES_MAX: usize = 3;

/// One node's origin: its streams, the door for publishers, the objects for edges.
///
/// A live id has one publisher, and a second is refused, except in the grace time after the first
/// one's connection was lost. While the first connection is dead without the node knowing it (no
/// TCP reset came), its own encoder is refused, too, until the protocol session finds out: its
/// stall timeout bounds that time. To let the newer one win would let anybody who knows an id take
/// a stream from its publisher.
#[derive(Debug)]
pub struct Origin {
    context: Arc<Context>,
}

impl Origin {
    /// Makes an origin that owns no stream yet, and registers its metrics.
    ///
    /// # Errors
    /// When `registry` holds metrics of these names already.
    pub fn new(
        options: OriginOptions,
        store: Arc<dyn Store>,
        clock: Arc<dyn WallClock>,
        registry: &prometheus::Registry,
    ) -> Result<Arc<Self>, prometheus::Error> {
        let metrics = Metrics::register(registry)?;
        let streams = Arc::new(Streams::new(options.streams_max, metrics.streams.clone()));
        Ok(Arc::new(Self {
            context: Arc::new(Context {
                options,
                store,
                clock,
                metrics,
                streams,
                shutdown: CancellationToken::new(),
                tasks: TaskTracker::new(),
            }),
        }))
    }

    /// Frees what this node left behind when it last ended; returns how many streams that were.
    /// To be called before the first publisher is admitted.
    ///
    /// # Errors
    /// When the store cannot be used; trying again is right.
    pub async fn start(&self) -> Result<usize, StoreError> {
        let Context {
            options,
            store,
            clock,
            ..
        } = &*self.context;
        let freed = store
            .release_all_of(&options.node_id, clock.now_ms())
            .await?;
        if freed > 0 {
            tracing::warn!(freed, "freed streams that this node had left behind");
        }
        Ok(freed)
    }

    /// The media objects, as routes under `/{app}/streams/`; see [`crate`] for the paths.
    pub fn router(&self) -> Router {
        let Context {
            streams, metrics, ..
        } = &*self.context;
        serve::router(Arc::clone(streams), metrics.objects.clone())
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
        let Some(app) = context.options.apps.get(&key.app) else {
            return Err(PublishRefusal::UnknownApp(request.app));
        };
        for _ in 0..ADMISSION_TRIES_MAX {
            if context.shutdown.is_cancelled() {
                return Err(unavailable("the node is stopping"));
            }
            let make = || stream::start(context, key.clone(), *app);
            let Some(handle) = context.streams.get_or_make(&key, make) else {
                return Err(unavailable("the node holds as many streams as it may"));
            };
            let (reply, answer) = oneshot::channel();
            let ask = Ask {
                request: request.clone(),
                reply,
            };
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

fn unavailable(why: &str) -> PublishRefusal {
    PublishRefusal::Unavailable(why.to_owned())
}
