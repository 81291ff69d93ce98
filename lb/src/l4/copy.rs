//! Bytes both ways between a client and a peer until one of them ends.
//!
//! Why not tokio's `copy_bidirectional`: nginx's `proxy_timeout` is about neither side having
//! sent anything, and the other direction is bounded once one has ended. The end of one side is
//! passed on as an end of sending (FIN), after what it sent. Each direction has one buffer; a
//! slow reader stops the other side's sending by the network's own means.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::Instant;

use crate::metrics::ListenerMetrics;

/// Bounds on one connection.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// Without a byte either way.
    pub(crate) idle: Duration,
    /// From the end of one direction to the end of the other; `None` leaves it to `idle`.
    pub(crate) half_close: Option<Duration>,
    /// Each direction's buffer.
    pub(crate) buffer_bytes: usize,
    /// From the client, bytes a second; zero is no limit.
    pub(crate) upload_rate: u64,
    /// From the peer, likewise.
    pub(crate) download_rate: u64,
}

/// Why it ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// Both sides ended, or one did and the other had its time.
    Done,
    /// `idle` passed.
    Idle,
    /// A side broke off.
    Broken(std::io::Error),
}

/// What went through.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) from_client_bytes: u64,
    pub(crate) to_client_bytes: u64,
    pub(crate) ended: Ended,
}

/// What a copy tells while it runs.
pub(crate) trait Told {
    /// The peer's first bytes have come.
    fn answer_began(&mut self);
    /// One side has ended, and what it sent was passed on.
    fn half_done(&mut self);
}

/// Copies until it ends.
pub(crate) async fn both<C, P>(
    client: &mut C,
    peer: &mut P,
    limits: &Limits,
    metrics: &ListenerMetrics,
    told: &mut (impl Told + Send),
) -> Report
where
    C: AsyncRead + AsyncWrite + Unpin,
    P: AsyncRead + AsyncWrite + Unpin,
{
    let last = Last(Mutex::new(Instant::now()));
    let (mut client_read, mut client_write) = tokio::io::split(client);
    let (mut peer_read, mut peer_write) = tokio::io::split(peer);
    let (mut from_client_bytes, mut to_client_bytes) = (0, 0);
    let ended = {
        let up = one_way(
            &mut client_read,
            &mut peer_write,
            (limits.buffer_bytes, limits.upload_rate),
            |count| {
                last.touch();
                metrics.bytes_in.inc_by(count);
                from_client_bytes += count;
            },
        );
        let told = Mutex::new(told);
        let half_done = || lock(&told).half_done();
        let down = one_way(
            &mut peer_read,
            &mut client_write,
            (limits.buffer_bytes, limits.download_rate),
            |count| {
                last.touch();
                metrics.bytes_out.inc_by(count);
                if to_client_bytes == 0 && count > 0 {
                    lock(&told).answer_began();
                }
                to_client_bytes += count;
            },
        );
        tokio::pin!(up, down);
        let first = tokio::select! {
            result = &mut up => Some((result, true)),
            result = &mut down => Some((result, false)),
            () = last.idle(limits.idle) => None,
        };
        match first {
            None => Ended::Idle,
            Some((Err(error), _)) => Ended::Broken(error),
            Some((Ok(()), client_ended)) => {
                half_done();
                let rest = async { if client_ended { down.await } else { up.await } };
                tokio::select! {
                    result = rest => result.map_or_else(Ended::Broken, |()| Ended::Done),
                    () = last.idle(limits.idle) => Ended::Idle,
                    () = maybe_sleep(limits.half_close) => Ended::Done,
                }
            }
        }
    };
    Report {
        from_client_bytes,
        to_client_bytes,
        ended,
    }
}

async fn one_way<R, W>(
    from: &mut R,
    to: &mut W,
    (buffer_bytes, rate): (usize, u64),
    mut moved: impl FnMut(u64),
) -> std::io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut buffer = vec![0_u8; buffer_bytes];
    let mut pace = (rate > 0).then(|| Pace::new(rate));
    loop {
        let room = match &pace {
            Some(pace) => pace.room(buffer_bytes).await,
            None => buffer_bytes,
        };
        let count = from
            .read(buffer.get_mut(..room).unwrap_or_default())
            .await?;
        if count == 0 {
            return to.shutdown().await;
        }
        moved(count as u64);
        to.write_all(buffer.get(..count).unwrap_or_default())
            .await?;
        // TLS may still hold some of it.
        to.flush().await?;
        moved(0);
        if let Some(pace) = &mut pace {
            tokio::time::sleep(pace.took(count as u64)).await;
            moved(0);
        }
    }
}

/// A rate kept as nginx keeps it: a second's worth at once, and after what was read as long as
/// it is worth.
#[derive(Debug)]
pub(super) struct Pace {
    rate: u64,
    start: Instant,
    moved: u64,
}

impl Pace {
    /// So many bytes a second, not zero.
    pub(super) fn new(rate: u64) -> Self {
        Self {
            rate,
            start: Instant::now(),
            moved: 0,
        }
    }

    /// How many bytes may be read, at least one and at most `most`; waits for it.
    async fn room(&self, most: usize) -> usize {
        loop {
            let seconds = self.start.elapsed().as_secs().saturating_add(1);
            let due = self.rate.saturating_mul(seconds);
            if due > self.moved {
                return usize::try_from(due - self.moved).unwrap_or(most).min(most);
            }
            let over = (self.moved - due).saturating_mul(1000) / self.rate;
            tokio::time::sleep(Duration::from_millis(over + 1)).await;
        }
    }

    /// Counts what was read; how long to wait for it.
    pub(super) fn took(&mut self, count: u64) -> Duration {
        self.moved = self.moved.saturating_add(count);
        Duration::from_millis(count.saturating_mul(1000) / self.rate)
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn maybe_sleep(limit: Option<Duration>) {
    match limit {
        Some(limit) => tokio::time::sleep(limit).await,
        None => std::future::pending().await,
    }
}

/// When a byte last moved.
struct Last(Mutex<Instant>);

impl Last {
    fn touch(&self) {
        *lock(&self.0) = Instant::now();
    }

    /// Waits until nothing has moved for `limit`.
    async fn idle(&self, limit: Duration) {
        loop {
            let end = *lock(&self.0) + limit;
            if end <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(end).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{DuplexStream, duplex};

    use super::*;
    use crate::metrics::Metrics;

    fn limits(half_close: Option<Duration>) -> Limits {
        Limits {
            idle: Duration::from_secs(60),
            half_close,
            buffer_bytes: 16,
            upload_rate: 0,
            download_rate: 0,
        }
    }

    struct Nobody;

    impl Told for Nobody {
        fn answer_began(&mut self) {}
        fn half_done(&mut self) {}
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_is_kept() {
        let (mut client, mut peer, task) = start(Limits {
            download_rate: 100,
            buffer_bytes: 1000,
            ..limits(None)
        });
        let begin = Instant::now();
        let sent = tokio::spawn(async move {
            peer.write_all(&[7; 1000]).await.unwrap();
            peer
        });
        let mut got = vec![0; 1000];
        client.read_exact(&mut got).await.unwrap();
        // A second's worth is there at once.
        let ms = begin.elapsed().as_millis();
        assert!((9000..=10_000).contains(&ms), "{ms}");
        drop((client, sent.await.unwrap()));
        assert_eq!(task.await.unwrap().to_client_bytes, 1000);
    }

    /// Runs a copy between two pipes; gives the far ends and the report to come.
    fn start(limits: Limits) -> (DuplexStream, DuplexStream, tokio::task::JoinHandle<Report>) {
        let (client, mut near_client) = duplex(64);
        let (peer, mut near_peer) = duplex(64);
        let metrics = Metrics::new(&prometheus::Registry::new())
            .unwrap()
            .listener("t");
        let task = tokio::spawn(async move {
            both(
                &mut near_client,
                &mut near_peer,
                &limits,
                &metrics,
                &mut Nobody,
            )
            .await
        });
        (client, peer, task)
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_go_both_ways_and_the_end_goes_after_them() {
        let (mut client, mut peer, task) = start(limits(None));
        client.write_all(&[7; 100]).await.unwrap();
        client.shutdown().await.unwrap();
        let mut got = Vec::new();
        peer.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, [7; 100]);
        // The other way goes on after the client's end.
        peer.write_all(b"answer").await.unwrap();
        peer.shutdown().await.unwrap();
        let mut got = Vec::new();
        client.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, b"answer");
        let report = task.await.unwrap();
        assert!(matches!(report.ended, Ended::Done));
        assert_eq!((report.from_client_bytes, report.to_client_bytes), (100, 6));
    }

    #[tokio::test(start_paused = true)]
    async fn silence_both_ways_ends_it_and_a_byte_either_way_does_not() {
        let (mut client, mut peer, task) = start(limits(None));
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_secs(40)).await;
            peer.write_all(b"x").await.unwrap();
            client.read_exact(&mut [0]).await.unwrap();
        }
        let begin = Instant::now();
        let report = task.await.unwrap();
        assert!(matches!(report.ended, Ended::Idle));
        assert_eq!(begin.elapsed().as_secs(), 60);
    }

    #[tokio::test(start_paused = true)]
    async fn without_half_close_the_other_side_has_its_time_only() {
        let (mut client, peer, task) = start(limits(Some(Duration::from_secs(5))));
        client.shutdown().await.unwrap();
        let begin = Instant::now();
        assert!(matches!(task.await.unwrap().ended, Ended::Done));
        assert_eq!(begin.elapsed().as_secs(), 5);
        drop(peer);
    }

    #[tokio::test(start_paused = true)]
    async fn a_broken_side_ends_it() {
        let (client, mut peer, task) = start(limits(None));
        drop(client);
        peer.write_all(b"x").await.unwrap();
        let report = task.await.unwrap();
        assert!(matches!(report.ended, Ended::Broken(_)), "{report:?}");
    }
}
