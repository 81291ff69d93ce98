//! What is known of one request on its way.

use std::sync::Arc;

use tokio::time::Instant;

use super::accel::Kept;
use super::cached::{Fetch, State};
use super::conn::Conn;
use super::flow::Flow;
use super::inner::Inner;
use super::limits::Limited;
use super::pace::Pace;
use super::real_ip::Behind;
use super::replay::Spooled;
use super::reply::{Reply, Step};
use super::target::Target;
use super::tries::Tries;
use crate::balance::Walk;
use crate::group::Lease;

/// One request.
#[derive(Debug)]
pub(crate) struct Ctx {
    pub(crate) conn: Option<Arc<Conn>>,
    /// Who a believed proxy stands for.
    pub(crate) behind: Option<Behind>,
    /// It is made inside for another.
    pub(crate) inner: Option<Box<Inner>>,
    /// There is a file that is compressed already.
    pub(crate) gzip_made: bool,
    /// What `limit_req` and `limit_conn` said.
    pub(crate) limited: Limited,
    /// How fast an upstream's answer goes on, once that is known.
    pub(crate) pace: Option<Option<Pace>>,
    /// Where to go on once it has waited.
    pub(crate) resume: Option<Step>,
    pub(crate) started: Instant,
    /// Place of the server.
    pub(crate) server: usize,
    /// Place of the location in it.
    pub(crate) location: Option<usize>,
    /// The host asked for, lower case, without port.
    pub(crate) host: String,
    /// Where it stands on its way.
    pub(crate) flow: Flow,
    /// The answer that an error's page gives, if it is one of our own.
    pub(crate) pending: Option<Reply>,
    /// Headers of the upstream's answer, if a variable may want them.
    pub(crate) upstream_headers: Option<http::HeaderMap>,
    /// Whether the upstream's answer is given up for an error page.
    pub(crate) intercepted: bool,
    /// The request's way over the peers.
    pub(crate) walk: Option<Walk>,
    /// It is the last that its connection to the peer carries.
    pub(crate) last_of_kept: bool,
    /// The peer in use.
    pub(crate) lease: Option<Lease>,
    /// Numbers of peers that failed.
    pub(crate) tried: Vec<usize>,
    /// Kept connections found dead.
    pub(crate) stale_tries: u32,
    /// Whether any of the request may have reached a peer.
    pub(crate) sent: bool,
    /// Whether a peer's answer has begun.
    pub(crate) answered: bool,
    /// Whether the answer's status sends the request to the next peer.
    pub(crate) passed_over: bool,
    /// Bytes of the body that went to the peer in use.
    pub(crate) body_bytes: u64,
    /// The length of a body that was read whole before an upstream was chosen.
    pub(crate) held: Option<u64>,
    /// That body, if it is too long for memory.
    pub(crate) spooled: Option<Arc<Spooled>>,
    /// The answer's status.
    pub(crate) status: Option<u16>,
    /// What a URL with variables came to.
    pub(crate) target: Option<Target>,
    pub(crate) tries: Tries,
    /// How fast an upstream's answer may come, in bytes a second; zero is no limit.
    pub(crate) rate: u64,
    /// Headers of an answer that was given up for the one to come.
    pub(crate) kept: Option<Box<Kept>>,
    /// `X-Accel-Redirect` of the answer that is given up for it.
    pub(crate) accel: Option<Vec<u8>>,
    /// What `proxy_set_body` puts in place of the client's body has been sent.
    pub(crate) body_set: bool,
    /// What is known of it at the cache, if it came there.
    pub(crate) cache: Option<Box<State>>,
    /// It is the cache's own, that fetches an answer.
    pub(crate) fetch: Option<Box<Fetch>>,
}

impl Ctx {
    /// One that nothing is known of yet.
    pub(crate) fn new() -> Self {
        Self {
            conn: None,
            behind: None,
            inner: None,
            gzip_made: false,
            limited: Limited::default(),
            pace: None,
            resume: None,
            started: Instant::now(),
            server: 0,
            location: None,
            host: String::new(),
            flow: Flow::default(),
            pending: None,
            upstream_headers: None,
            intercepted: false,
            walk: None,
            last_of_kept: false,
            lease: None,
            tried: Vec::new(),
            stale_tries: 0,
            sent: false,
            answered: false,
            passed_over: false,
            body_bytes: 0,
            held: None,
            spooled: None,
            status: None,
            target: None,
            tries: Tries::default(),
            rate: 0,
            kept: None,
            accel: None,
            body_set: false,
            cache: None,
            fetch: None,
        }
    }

    /// Forgets the upstream that was tried: another is to be asked.
    pub(crate) fn start_over(&mut self) {
        self.tried.clear();
        self.stale_tries = 0;
        self.sent = false;
        self.target = None;
        self.walk = None;
    }

    /// Bytes of the request's body, as far as they are known.
    pub(crate) fn body_bytes(&self) -> u64 {
        self.held.unwrap_or(self.body_bytes)
    }

    pub(crate) fn elapsed_ms(&self) -> u128 {
        self.started.elapsed().as_millis()
    }
}
