//! The short way: plain requests, to locations that only pass them on, without Pingora's proxy.
//!
//! Why: most of what a load balancer carries is a GET that goes to one of a few peers and comes
//! back as it is. Pingora's proxy has queues, filters and a header table for each, several times
//! the work of the system calls. Here a header is read where it lies, written on once, and the
//! body goes from socket to socket. What a request needs beyond that (a body, a rewrite, a limit,
//! a retry, an error page) is not here: it is handed on to Pingora, whole, before a byte of an
//! answer has gone to the client.
//!
//! `plan` says while loading which locations have a short way; `head` whether a request is plain;
//! `exchange` asks the peer, `carry` brings the answer, `ending` says what became of it; `door` is the loop of a connection. `known`, `answer`, `chunks` and
//! `pool` are what their names say.
//!
//! Limits: the header's (`large_client_header_buffers`), [`downstream::AHEAD_BYTES_MAX`] of
//! the next request while one is answered, [`exchange::HEAD_BYTES_MAX`] of an answer's header,
//! [`exchange::PIECE_BYTES`] of its body. Failures: before an answer has begun the request goes on
//! to Pingora, which logs, counts and tries the next peer as for any other; after, the connection
//! is closed, as there is no other way to say that something is missing.
//!
//! [`downstream::AHEAD_BYTES_MAX`]: super::downstream::AHEAD_BYTES_MAX

mod answer;
mod carry;
mod chunks;
mod door;
mod ending;
mod exchange;
mod head;
mod known;
mod logged;
mod plan;
mod pool;
mod relay;

pub(crate) use door::{Next, Short};
pub(crate) use exchange::Failed;
pub(crate) use plan::{Express, plan};
pub(crate) use pool::Pool;
