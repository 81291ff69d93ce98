//! Answers the balancer gives itself: `return`, files, and the pages for what went wrong.

use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header::CONTENT_LENGTH;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio::time::Instant;

use super::machine::Phase;
use super::pace::Pace;

/// What the `Server` header of our own answers says.
pub(crate) const SERVER: &str = "weir";

/// How much of a file is read and written at once.
const PIECE_BYTES: usize = 64 << 10;

/// After an error answer, how long what the client still sends is read, so that it sees the
/// answer and not a reset.
const LINGER: Duration = Duration::from_secs(2);

/// How a request ends in the balancer.
#[derive(Debug)]
pub(crate) enum Step {
    /// With an answer of its own.
    Reply(Reply),
    /// With nothing: the connection is closed.
    Close,
    /// It goes to the location's upstream.
    Proxy,
    /// It goes on from there after this time.
    Wait(Duration, Box<Phase>),
    /// Another place is asked whether it may pass; what the rules before said, if any may let in.
    Ask(Option<u16>),
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: Body,
    /// Headers beside `Server`, `Content-Type` and `Content-Length`.
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    /// Whether the body is only a page about the status, which changes with it.
    page: bool,
}

/// What an answer carries.
#[derive(Debug)]
pub(crate) enum Body {
    Bytes(Bytes),
    File(FileBody),
}

/// A file, or some of it.
#[derive(Debug)]
pub(crate) struct FileBody {
    file: std::fs::File,
    /// Bytes of the whole file.
    pub(crate) size: u64,
    pub(crate) modified: SystemTime,
    /// What is sent: from where, and how much.
    pub(crate) part: (u64, u64),
}

impl FileBody {
    pub(crate) fn new(file: std::fs::File, meta: &std::fs::Metadata) -> Self {
        Self {
            file,
            size: meta.len(),
            modified: meta.modified().unwrap_or(SystemTime::UNIX_EPOCH),
            part: (0, meta.len()),
        }
    }
}

impl Reply {
    /// nginx's page for a status.
    pub(crate) fn page(status: u16) -> Self {
        let (status, what) = shown(status);
        Self {
            status,
            content_type: "text/html".to_owned(),
            body: Body::Bytes(page_text(status, what)),
            headers: Vec::new(),
            page: true,
        }
    }

    /// A page that sends the client elsewhere.
    pub(crate) fn redirect(status: u16, location: Vec<u8>) -> Self {
        let mut page = Self::page(status);
        page.headers.push(("Location".to_owned(), location));
        page
    }

    /// A text.
    pub(crate) fn text(status: u16, content_type: String, text: Bytes) -> Self {
        Self {
            status,
            content_type,
            body: Body::Bytes(text),
            headers: Vec::new(),
            page: false,
        }
    }

    /// A file.
    pub(crate) fn file(content_type: String, file: FileBody) -> Self {
        Self {
            status: 200,
            content_type,
            body: Body::File(file),
            headers: Vec::new(),
            page: false,
        }
    }

    /// Gives it another status; a page becomes that status's.
    pub(crate) fn set_status(&mut self, status: u16) {
        if !self.page {
            self.status = status;
            return;
        }
        let (status, what) = shown(status);
        if self.status != status {
            self.body = Body::Bytes(page_text(status, what));
        }
        self.status = status;
    }

    fn length(&self) -> u64 {
        match &self.body {
            Body::Bytes(bytes) => bytes.len() as u64,
            Body::File(file) => file.part.1,
        }
    }

    /// Its header.
    pub(super) fn header(&self) -> pingora::Result<ResponseHeader> {
        let mut header = ResponseHeader::build(self.status, Some(4 + self.headers.len()))?;
        header.insert_header("Server", SERVER)?;
        header.insert_header("Date", httpdate::fmt_http_date(now()))?;
        for (name, value) in &self.headers {
            // A value with a line break in it must not become two headers: it is left out.
            if let Ok(value) = http::HeaderValue::from_bytes(value) {
                header.append_header(name.clone(), value)?;
            }
        }
        if has_body(self.status) {
            if !self.content_type.is_empty() {
                header.insert_header("Content-Type", &self.content_type)?;
            }
            header.insert_header("Content-Length", self.length())?;
        }
        Ok(header)
    }

    /// Writes it behind its header. A HEAD request and statuses without a body get the header alone.
    pub(crate) async fn send(
        self,
        session: &mut Session,
        header: ResponseHeader,
        mut pace: Option<Pace>,
    ) -> pingora::Result<()> {
        // Without a length it has an end to be told of.
        let is_empty = self.length() == 0 && header.headers.contains_key(CONTENT_LENGTH);
        let header = Box::new(header);
        let bare =
            !has_body(self.status) || is_empty || session.req_header().method == http::Method::HEAD;
        session.write_response_header(header, bare).await?;
        if bare {
            return Ok(());
        }
        match self.body {
            Body::Bytes(bytes) => {
                wait(session, &mut pace, bytes.len()).await?;
                session.write_response_body(Some(bytes), true).await
            }
            Body::File(file) => send_file(file, session, pace).await,
        }
    }
}

/// Waits until a piece of so many bytes is due.
async fn wait(session: &mut Session, pace: &mut Option<Pace>, bytes: usize) -> pingora::Result<()> {
    let time = pace
        .as_mut()
        .and_then(|pace| pace.wait(bytes, Instant::now()));
    match time {
        Some(time) => rest(session, time).await,
        None => Ok(()),
    }
}

/// Lets time pass within an answer. What has been held back is written out, and a client who has
/// gone is noticed.
pub(super) async fn rest(session: &mut Session, time: Duration) -> pingora::Result<()> {
    let end = Instant::now() + time;
    loop {
        tokio::select! {
            biased;
            told = session.as_mut().read_body_or_idle(false) => {
                told.map_err(pingora::Error::into_down)?;
            }
            () = tokio::time::sleep_until(end) => return Ok(()),
        }
    }
}

async fn send_file(
    body: FileBody,
    session: &mut Session,
    mut pace: Option<Pace>,
) -> pingora::Result<()> {
    let fault = |error| {
        pingora::Error::because(
            pingora::ErrorType::FileReadError,
            "while reading a file",
            error,
        )
    };
    let (start, mut left) = body.part;
    let mut file = tokio::fs::File::from_std(body.file);
    if start > 0 {
        file.seek(std::io::SeekFrom::Start(start))
            .await
            .map_err(fault)?;
    }
    let most = pace.map_or(PIECE_BYTES, |pace| pace.piece_bytes(PIECE_BYTES));
    while left > 0 {
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(most);
        let mut piece = BytesMut::with_capacity(wanted);
        while piece.len() < wanted {
            let mut rest = (&mut file).take((wanted - piece.len()) as u64);
            if rest.read_buf(&mut piece).await.map_err(fault)? == 0 {
                // It has become shorter: the promised length cannot be kept.
                let error = std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
                return Err(fault(error));
            }
        }
        left -= piece.len() as u64;
        wait(session, &mut pace, piece.len()).await?;
        session
            .write_response_body(Some(piece.freeze()), left == 0)
            .await?;
    }
    Ok(())
}

/// Reads on for a moment what the client is still sending.
pub(super) async fn linger(session: &mut Session) {
    let drain = async { while let Ok(Some(_)) = session.read_request_body().await {} };
    // Over time: it is cut.
    let _ = tokio::time::timeout(LINGER, drain).await;
}

/// The time of day.
pub(super) fn now() -> SystemTime {
    use weir_cluster::WallClock as _;
    let ms = u64::try_from(weir_cluster::SystemClock.now_ms()).unwrap_or(0);
    SystemTime::UNIX_EPOCH + Duration::from_millis(ms)
}

/// nginx's own statuses are for error pages alone: without one the client sees 400 and why.
fn shown(status: u16) -> (u16, Option<&'static str>) {
    match status {
        495 => (400, Some("The SSL certificate error")),
        496 => (400, Some("No required SSL certificate was sent")),
        497 => (400, Some("The plain HTTP request was sent to HTTPS port")),
        _ => (status, None),
    }
}

fn page_text(status: u16, what: Option<&str>) -> Bytes {
    let reason = reason(status);
    let title = what.unwrap_or(reason);
    let more = what.map_or_else(String::new, |what| format!("<center>{what}</center>\r\n"));
    Bytes::from(format!(
        "<html>\r\n<head><title>{status} {title}</title></head>\r\n<body>\r\n\
         <center><h1>{status} {reason}</h1></center>\r\n{more}<hr><center>{SERVER}</center>\r\n\
         </body>\r\n</html>\r\n"
    ))
}

/// Statuses that `add_header` without `always` is for.
pub(crate) fn is_usual(status: u16) -> bool {
    matches!(
        status,
        200 | 201 | 204 | 206 | 301 | 302 | 303 | 304 | 307 | 308
    )
}

/// A header's value without line ends behind it: files have them by mistake (`"$x\n"`), and nginx
/// sends such a header.
pub(crate) fn without_line_end(mut value: Vec<u8>) -> Vec<u8> {
    while value.last().is_some_and(|it| matches!(it, b'\r' | b'\n')) {
        value.pop();
    }
    value
}

/// RFC 9110 section 6.4.1: 1xx, 204 and 304 have none.
pub(super) fn has_body(status: u16) -> bool {
    !matches!(status, 100..=199 | 204 | 304)
}

/// nginx's words for a status, where they differ from the registry's.
fn reason(status: u16) -> &'static str {
    match status {
        302 => "Found",
        405 => "Not Allowed",
        408 => "Request Time-out",
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Large",
        503 => "Service Temporarily Unavailable",
        504 => "Gateway Time-out",
        _ => {
            let known = StatusCode::from_u16(status).ok();
            known
                .and_then(|status| status.canonical_reason())
                .unwrap_or("Unknown")
        }
    }
}
