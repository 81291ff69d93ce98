//! Connections to an upstream's peers that wait for their next request: nginx's `keepalive`.
//!
//! The newest is taken first, the oldest closed when there are too many or it has waited too long.
//! Whether a peer has closed one is asked of the socket when it is taken, at no system call: the
//! runtime knows. Limits: [`Pool::new`]'s `max` for all peers together.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::Instant;

use crate::io::Io;

/// The connections of one upstream.
#[derive(Debug)]
pub(crate) struct Pool {
    max: usize,
    idle_max: Duration,
    /// Oldest first.
    idle: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    all: VecDeque<Idle>,
    /// Somebody closes those that have waited too long.
    watched: bool,
}

#[derive(Debug)]
struct Idle {
    peer: usize,
    io: Io,
    since: Instant,
}

impl Pool {
    pub(crate) fn new(max: u32, idle_max_ms: u64) -> Arc<Self> {
        Arc::new(Self {
            max: usize::try_from(max).unwrap_or(usize::MAX),
            idle_max: Duration::from_millis(idle_max_ms),
            idle: Mutex::default(),
        })
    }

    /// A connection to a peer, by its number.
    pub(super) fn take(&self, peer: usize) -> Option<Io> {
        if self.max == 0 {
            return None;
        }
        loop {
            let mut idle = self.lock();
            let place = idle.all.iter().rposition(|it| it.peer == peer)?;
            let found = idle.all.remove(place)?;
            drop(idle);
            let mut io = found.io;
            if found.since.elapsed() < self.idle_max && is_quiet(&mut io) {
                return Some(io);
            }
        }
    }

    /// Keeps a connection for the next request.
    pub(super) fn put(self: &Arc<Self>, peer: usize, io: Io) {
        if self.max == 0 {
            return;
        }
        let mut idle = self.lock();
        idle.all.push_back(Idle {
            peer,
            io,
            since: Instant::now(),
        });
        let over = idle.all.len() > self.max;
        let oldest = if over { idle.all.pop_front() } else { None };
        let watch = !std::mem::replace(&mut idle.watched, true);
        drop(idle);
        drop(oldest);
        if watch {
            tokio::spawn(watch_over(Arc::downgrade(self)));
        }
    }

    /// Closes those that have waited too long. The time of the next to be looked at; `None` if
    /// none waits, and then the next one needs a watch.
    fn expire(&self) -> Option<Instant> {
        let mut closed = Vec::new();
        let mut idle = self.lock();
        while let Some(first) = idle.all.front() {
            let end = first.since + self.idle_max;
            if end > Instant::now() {
                return Some(end);
            }
            closed.extend(idle.all.pop_front());
        }
        idle.watched = false;
        None
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends with the pool, or when nothing waits in it.
async fn watch_over(pool: Weak<Pool>) {
    loop {
        let next = pool.upgrade().and_then(|pool| pool.expire());
        let Some(next) = next else { return };
        tokio::time::sleep_until(next).await;
    }
}

/// Whether a peer has neither closed nor sent anything that nobody asked for.
fn is_quiet(io: &mut Io) -> bool {
    let mut byte = [0];
    let mut buf = ReadBuf::new(&mut byte);
    let mut cx = Context::from_waker(Waker::noop());
    matches!(Pin::new(io).poll_read(&mut cx, &mut buf), Poll::Pending)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt as _;
    use tokio::net::{TcpListener, TcpStream};

    async fn pair(listener: &TcpListener) -> (Io, TcpStream) {
        let near = TcpStream::connect(listener.local_addr().unwrap()).await;
        let (far, _) = listener.accept().await.unwrap();
        (near.unwrap().into(), far)
    }

    #[tokio::test]
    async fn the_newest_is_taken_and_the_oldest_goes() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let pool = Pool::new(2, 60_000);
        let mut far = Vec::new();
        for _ in 0..3 {
            let (io, other) = pair(&listener).await;
            pool.put(7, io);
            far.push(other);
        }
        assert!(pool.take(8).is_none());
        // The first was closed for the third.
        assert_eq!(far[0].read(&mut [0]).await.unwrap(), 0);
        assert!(pool.take(7).is_some() && pool.take(7).is_some());
        assert!(pool.take(7).is_none());
    }

    #[tokio::test]
    async fn one_that_its_peer_closed_is_not_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let pool = Pool::new(2, 60_000);
        let (io, far) = pair(&listener).await;
        pool.put(1, io);
        drop(far);
        // It is told as soon as the runtime has heard of it.
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            match pool.take(1) {
                None => break,
                Some(io) => pool.put(1, io),
            }
            assert!(
                Instant::now() < end,
                "a closed connection is still given out"
            );
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn one_that_waited_too_long_is_closed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let pool = Pool::new(2, 50);
        let (io, mut far) = pair(&listener).await;
        pool.put(1, io);
        assert_eq!(far.read(&mut [0]).await.unwrap(), 0);
        assert!(pool.take(1).is_none());
        assert!(!pool.lock().watched);
    }
}
