//! The edge: what it is made of, and which way a request takes.

use crate::answer::{Broken, Reply, allow_all};
use crate::connection::Viewer;
use crate::fallback::Fallback;
use crate::metrics::Metrics;
use crate::options::EdgeOptions;
use crate::path::{self, Target};
use crate::source::Source;
use crate::viewers::Viewers;
use http::{Method, StatusCode, header};
use pingora::protocols::http::ServerSession;
use prometheus::Registry;
use std::sync::Arc;
use tokio::sync::Semaphore;
use weir_cache::{Cache, Fetch};
use weir_cluster::Directory;

/// The viewer's door.
pub struct Edge {
    pub(crate) options: EdgeOptions,
    pub(crate) cache: Arc<Cache>,
    pub(crate) source: Arc<Source>,
    pub(crate) fallback: Arc<dyn Fallback>,
    pub(crate) metrics: Metrics,
    pub(crate) viewers: Arc<Viewers>,
    /// One permit a connection.
    pub(crate) room: Arc<Semaphore>,
}

/// An edge's sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Players that asked for a playlist lately, by estimate.
    pub hls_viewers: u32,
    /// Body bytes sent to viewers since the start.
    pub sent_bytes: u64,
}

impl std::fmt::Debug for Edge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Edge")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Edge {
    /// An edge with an empty cache that listens nowhere yet. Registers its metrics, `weir_edge_…`
    /// and `weir_cache_…`.
    ///
    /// # Errors
    /// When `registry` has metrics of these names already.
    pub fn new(
        options: EdgeOptions,
        directory: Directory,
        fetch: Arc<dyn Fetch>,
        fallback: Arc<dyn Fallback>,
        registry: &Registry,
    ) -> Result<Arc<Self>, prometheus::Error> {
        let viewers = Arc::new(Viewers::new());
        Ok(Arc::new(Self {
            options,
            cache: Cache::new(options.cache, registry)?,
            source: Arc::new(Source {
                directory,
                fetch,
                viewers: Arc::clone(&viewers),
            }),
            fallback,
            metrics: Metrics::register(registry)?,
            viewers,
            room: Arc::new(Semaphore::new(
                options.connections_max.min(Semaphore::MAX_PERMITS),
            )),
        }))
    }

    /// What has passed since the start, and what there is now.
    pub fn totals(&self) -> Totals {
        Totals {
            hls_viewers: self.viewers.count(),
            sent_bytes: self.metrics.sent_bytes.get(),
        }
    }

    /// Forgets the object at `path`. Returns whether there was one.
    pub fn purge(&self, path: &str) -> bool {
        self.cache.purge(path)
    }

    /// Answers the request whose head has been read.
    pub(crate) async fn answer(
        self: &Arc<Self>,
        session: &mut ServerSession,
        viewer: Viewer<'_>,
    ) -> Result<(), Broken> {
        // Shares the text, so that the session can be written to while the path is looked at.
        let uri = session.req_header().uri.clone();
        match path::parse(uri.path()) {
            Target::Media(media) => self.media(session, uri.path(), media, viewer).await,
            Target::Nothing => {
                let is_preflight = session.req_header().method == Method::OPTIONS;
                let reply = if is_preflight {
                    crate::answer::preflight()
                } else {
                    not_media()
                };
                self.metrics.request("nothing", reply.status, "none");
                reply.send(session).await
            }
            // The asterisk-form asks about the server as a whole (RFC 9112 section 3.2.4).
            Target::Other if uri.path() == "*" => {
                let status = if session.req_header().method == Method::OPTIONS {
                    StatusCode::NO_CONTENT
                } else {
                    StatusCode::BAD_REQUEST
                };
                self.metrics.request("other", status, "none");
                Reply::new(status)
                    .with(header::ALLOW, crate::media::ALLOWED)
                    .send(session)
                    .await
            }
            Target::Other => self.fall_back(session, viewer.peer).await,
        }
    }
}

/// The cheap 404: neither the cache nor the directory was asked.
pub(crate) fn not_media() -> Reply {
    let mut reply = Reply::plain(StatusCode::NOT_FOUND).dated();
    allow_all(&mut reply.headers);
    reply
}
