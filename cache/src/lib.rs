//! The one HTTP cache that the edge and the load balancer stand on.
//!
//! A request asks [`Cache::hit`] first: one look-up by path, no lock across an await, no body
//! copied. What is not there goes to [`Cache::get`], which lets one fetch run however many ask and
//! streams the body to all of them while it fills. The decisions (how long is an answer good, may
//! it be stored, may it be served stale) are pure functions in [`policy`]; the bytes come through
//! the [`Fetch`] trait, so that TCP, unix sockets ([`HttpFetch`]) and other transports share one
//! cache and one retry rule.
//!
//! [`zone`] is the same for a load balancer that reads nginx.conf: nginx's rules of what is kept and
//! how long, on the same bodies.
//!
//! Units: bytes and milliseconds, as the names say. Time is tokio's clock, which tests can pause.
//!
//! Limits: [`CacheOptions`] and [`HttpFetchOptions`]; RAM is at most `store_bytes_max` for what is
//! stored plus `fetches_max` times `object_bytes_max` for what is being filled.
//!
//! Failures: [`FetchError`] says whose fault and whether to try again. A body that breaks off is an
//! error to every reader, never a short body.

mod body;
mod engine;
mod fetch;
mod fetch_task;
mod flight;
mod http_call;
mod http_fetch;
mod key;
mod metrics;
mod object;
mod places;
pub mod policy;
mod pool;
mod store;
pub mod zone;

pub use body::Reader;
pub use engine::{Answer, Ask, Cache, CacheOptions};
pub use fetch::{EmptyBody, Fault, Fetch, FetchBody, FetchError, FetchRequest, FetchResponse};
pub use http_fetch::{HttpFetch, HttpFetchOptions, RequestHeaders};
pub use key::Key;
pub use metrics::Outcome;
pub use object::{Head, Object};

#[cfg(test)]
mod tests;
