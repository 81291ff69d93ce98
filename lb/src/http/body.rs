//! Request bodies read whole before an upstream is chosen: `proxy_request_buffering on`.
//!
//! Up to [`MEMORY_BYTES_MAX`] a body stays in memory, where Pingora keeps it for another try; a
//! longer one goes to a file without a name (in `client_body_temp_path`, else [`TEMP_DIR`]) and is
//! given again to each try: see [`super::replay`]. Limits: `client_max_body_size` (413), the time
//! between two reads (408). Failures: no file to be had is a 500.
//!
//! Over HTTP/2 only what is announced to fit in memory is held; the rest is streamed, and is not
//! sent twice.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::header::TRANSFER_ENCODING;
use pingora::protocols::http::ServerSession;
use pingora::proxy::Session;
use pingora::{Error, ErrorType};
use tokio::io::AsyncWriteExt as _;

use super::proxy::{Ctx, Gateway};
use super::replay::{Replay, Spooled, told};
use super::request::{announced, limit};

/// What Pingora keeps of a body.
const MEMORY_BYTES_MAX: u64 = 64 << 10;

/// Where bodies go if the file does not say.
const TEMP_DIR: &str = "/tmp";

impl Gateway {
    /// Reads the body to its end, if the location says so.
    pub(crate) async fn hold_body(
        &self,
        session: &mut Session,
        ctx: &mut Ctx,
    ) -> pingora::Result<()> {
        if !self.is_held(session, ctx) {
            return Ok(());
        }
        let limit = limit(self.common(ctx));
        let large = announced(session) > MEMORY_BYTES_MAX;
        if !large {
            session.as_mut().enable_retry_buffering();
        }
        let mut bytes = 0_u64;
        let mut pieces: Vec<Bytes> = Vec::new();
        let mut file = None;
        // Of a length that was told, nothing need be kept here unless it is large.
        let keep = large || session.req_header().headers.contains_key(TRANSFER_ENCODING);
        while let Some(piece) = session
            .read_request_body()
            .await
            .map_err(|e| e.into_down())?
        {
            bytes = bytes.saturating_add(piece.len() as u64);
            if bytes > limit {
                return Err(Error::new_down(ErrorType::HTTPStatus(413)));
            }
            if !keep {
                continue;
            }
            pieces.push(piece);
            if bytes > MEMORY_BYTES_MAX {
                let dir = self.common(ctx).body_temp_path.as_deref();
                spool(&mut file, &mut pieces, dir).await.map_err(|error| {
                    tracing::error!(%error, "a request's body could not be written to a file");
                    Error::new_in(ErrorType::HTTPStatus(500))
                })?;
            }
        }
        ctx.held = Some(bytes);
        if let Some(file) = file {
            let file = file.into_std().await;
            ctx.spooled = Some(Arc::new(Spooled { file, bytes }));
        }
        Ok(())
    }

    fn is_held(&self, session: &mut Session, ctx: &Ctx) -> bool {
        let Some((_, proxy)) = self.proxy(ctx) else {
            return false;
        };
        let passing = &proxy.model.passing;
        let headers = &session.req_header().headers;
        let chunked = headers.contains_key(TRANSFER_ENCODING);
        // HTTP/1.0 must be told a length.
        let wanted = passing.request_buffering || (passing.http_1_0 && chunked);
        let length = announced(session);
        let fits = !matches!(session.as_downstream(), ServerSession::H2(_))
            || (1..=MEMORY_BYTES_MAX).contains(&length);
        ctx.held.is_none() && wanted && fits && !session.is_body_empty()
    }

    /// Makes a body that lies in a file ready to be read once more.
    pub(crate) async fn rewind(&self, session: &mut Session, ctx: &mut Ctx) -> pingora::Result<()> {
        ctx.body_bytes = 0;
        let (Some(body), Some(conn)) = (ctx.spooled.clone(), ctx.conn.clone()) else {
            return Ok(());
        };
        let broken = || Error::explain(ErrorType::InternalError, "a body could not be rewound");
        // What stands in its place meanwhile has a header too: whoever logs a failure asks for it.
        let header = session.to_h1_raw();
        let again = told(&header, body.bytes);
        let mut stand_in = ServerSession::new_http1(Box::new(io::Cursor::new(again.to_vec())));
        if !stand_in.read_request().await? {
            return Err(broken());
        }
        let downstream = session.as_downstream_mut();
        let keepalive = downstream.get_keepalive();
        let reuses = downstream.get_keepalive_reuses_remaining();
        // Else Pingora would close instead of handing the connection out.
        downstream.set_keepalive_reuses_remaining(None);
        let ServerSession::H1(old) = std::mem::replace(downstream, stand_in) else {
            return Err(broken());
        };
        let (stream, next) = if old.will_keepalive() {
            old.reuse().await?.ok_or_else(broken)?.into_parts()
        } else {
            // No other request comes on it.
            (old.into_inner(), None)
        };
        conn.again.rewind(Replay::new(again, body, next));
        let mut again = ServerSession::new_http1(stream);
        again.set_pipelining_enabled(true);
        if !again.read_request().await? {
            return Err(broken());
        }
        again.set_keepalive(keepalive);
        again.set_keepalive_reuses_remaining(reuses);
        *session.as_downstream_mut() = again;
        self.set_times(session, ctx);
        Ok(())
    }
}

/// Whether a body that has been read, or some of it, cannot be sent again.
pub(crate) fn is_lost(session: &Session, ctx: &Ctx) -> bool {
    ctx.spooled.is_none() && session.as_ref().retry_buffer_truncated()
}

async fn spool(
    file: &mut Option<tokio::fs::File>,
    pieces: &mut Vec<Bytes>,
    dir: Option<&Path>,
) -> io::Result<()> {
    let file = match file {
        Some(file) => file,
        None => {
            let made = temp_file(dir.unwrap_or(Path::new(TEMP_DIR)))?;
            file.insert(tokio::fs::File::from_std(made))
        }
    };
    for piece in pieces.drain(..) {
        file.write_all(&piece).await?;
    }
    file.flush().await
}

/// A file without a name. The directory is made if it is not there.
fn temp_file(dir: &Path) -> io::Result<std::fs::File> {
    match tempfile::tempfile_in(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            std::fs::create_dir_all(dir)?;
            tempfile::tempfile_in(dir)
        }
        result => result,
    }
}
