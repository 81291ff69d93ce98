//! The last words on a connection.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tracing::debug;

use super::{Connection, End, IDLE_READ_BYTES};
use crate::ingest::Closed;
use crate::ingest::rtmp::session::status;

/// Bytes a refused peer may still send before we stop listening.
const LINGER_BYTES_MAX: usize = 4 * 1024 * 1024;

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Connection<S> {
    /// Tells the peer why, if there is something to tell, and sees that it can be read: closing a
    /// socket with unread bytes in it would reset the connection and destroy the answer.
    pub(in crate::ingest::rtmp::server) async fn say_goodbye(&mut self, end: &End) {
        let (code, words) = match end {
            End::Refused { .. } => ("", String::new()), // told already
            End::Malformed(error) => (status::FAILED, error.to_string()),
            End::OwnerClosed(reason) => (closed_code(*reason), end.to_string()),
            End::Shutdown | End::PublishTimeout(_) => (status::CLOSED, end.to_string()),
            _ => return,
        };
        self.session.close(code, &words);
        if let Err(error) = self.flush().await {
            debug!(peer = %self.peer, %error, "peer did not take our last words");
            return;
        }
        let linger = self.shared.options.linger_timeout;
        // Elapsed or not, the socket is closed next.
        let _ = timeout(linger, self.linger()).await;
    }

    async fn linger(&mut self) {
        if self.io.shutdown().await.is_err() {
            return;
        }
        let mut heard_bytes = 0;
        while heard_bytes < LINGER_BYTES_MAX {
            self.input.clear();
            self.input.reserve(IDLE_READ_BYTES);
            match self.io.read_buf(&mut self.input).await {
                Ok(bytes) if bytes > 0 => heard_bytes += bytes,
                _ => return,
            }
        }
    }
}

/// Which status code tells an encoder why its publish ended.
const fn closed_code(reason: Option<Closed>) -> &'static str {
    match reason {
        Some(Closed::TakenOver | Closed::Silent) => status::BAD_NAME,
        Some(Closed::AppDeleted) => status::REJECTED,
        Some(Closed::Shutdown) => status::CLOSED,
        _ => status::FAILED,
    }
}
