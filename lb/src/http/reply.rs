//! Answers the balancer gives itself: `return`, and the pages for what went wrong.

use bytes::Bytes;
use http::StatusCode;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;

/// What the `Server` header of our own answers says.
pub(crate) const SERVER: &str = "weir";

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: Bytes,
    /// Headers beside `Server`, `Content-Type` and `Content-Length`.
    pub(crate) headers: Vec<(String, Vec<u8>)>,
}

impl Reply {
    /// nginx's page for a status.
    pub(crate) fn page(status: u16) -> Self {
        let reason = reason(status);
        let body = format!(
            "<html>\r\n<head><title>{status} {reason}</title></head>\r\n<body>\r\n\
             <center><h1>{status} {reason}</h1></center>\r\n<hr><center>{SERVER}</center>\r\n\
             </body>\r\n</html>\r\n"
        );
        Self {
            status,
            content_type: "text/html".to_owned(),
            body: Bytes::from(body),
            headers: Vec::new(),
        }
    }

    /// A page that sends the client elsewhere.
    pub(crate) fn redirect(status: u16, location: Vec<u8>) -> Self {
        let mut page = Self::page(status);
        page.headers.push(("Location".to_owned(), location));
        page
    }

    fn header(&self) -> pingora::Result<ResponseHeader> {
        let mut header = ResponseHeader::build(self.status, Some(4 + self.headers.len()))?;
        header.insert_header("Server", SERVER)?;
        for (name, value) in &self.headers {
            // A value with a line break in it must not become two headers: it is left out.
            if let Ok(value) = http::HeaderValue::from_bytes(value) {
                header.append_header(name.clone(), value)?;
            }
        }
        if has_body(self.status) {
            header.insert_header("Content-Type", &self.content_type)?;
            header.insert_header("Content-Length", self.body.len())?;
        }
        Ok(header)
    }

    /// Writes it. A HEAD request and statuses without a body get the header alone.
    pub(crate) async fn send(&self, session: &mut Session) -> pingora::Result<()> {
        let header = Box::new(self.header()?);
        let bare = !has_body(self.status)
            || self.body.is_empty()
            || session.req_header().method == http::Method::HEAD;
        session.write_response_header(header, bare).await?;
        if !bare {
            session
                .write_response_body(Some(self.body.clone()), true)
                .await?;
        }
        Ok(())
    }
}

/// RFC 9110 section 6.4.1: 1xx, 204 and 304 have none.
fn has_body(status: u16) -> bool {
    !matches!(status, 100..=199 | 204 | 304)
}

/// nginx's words for a status, where they differ from the registry's.
fn reason(status: u16) -> &'static str {
    match status {
        302 => "Found",
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
