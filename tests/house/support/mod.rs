//! What the whole-house tests stand on: a running `weir`, an encoder, a plain HTTP client, and
//! waiting for conditions.

pub mod browser;
pub mod cluster;
pub mod encoder;
pub mod front;
pub mod hls;
pub mod load;
pub mod mongod;
pub mod proxy;
pub mod pusher;
pub mod viewer;
pub mod weir;

pub use browser::Browser;
pub use cluster::Cluster;
pub use encoder::{Encoder, StubbornEncoder};
pub use hls::MediaList;
pub use mongod::Mongod;
pub use viewer::Viewer;
pub use weir::Weir;

use std::io::Read as _;
use std::time::Duration;

/// How long a condition may take on a loaded two-core machine before the test calls it a failure.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// An HTTP answer, whole.
#[derive(Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Header lines.
    pub headers: http::HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("no JSON ({e}): {}", self.text()))
    }

    /// A header's value, empty when absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|v| v.to_str().ok())
            .unwrap_or("")
    }
}

/// One HTTP request; errors of transport are the `Err`.
pub fn request(method: &str, url: &str) -> Result<Answer, String> {
    request_with(method, url, &[])
}

/// One HTTP request with header lines.
pub fn request_with(method: &str, url: &str, headers: &[(&str, &str)]) -> Result<Answer, String> {
    send(method, url, headers, "")
}

/// One HTTP request with a JSON body, in the session of `cookie`, if there is one.
pub fn send_json(
    method: &str,
    url: &str,
    cookie: &str,
    body: &serde_json::Value,
) -> Result<Answer, String> {
    let headers = [("content-type", "application/json"), ("cookie", cookie)];
    send(method, url, &headers, &body.to_string())
}

/// One HTTP request with header lines and a body.
pub fn send(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<Answer, String> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(20)))
        .max_redirects(0)
        .build()
        .into();
    let mut builder = http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    let response = agent
        .run(builder.body(body.to_owned()).unwrap())
        .map_err(|e| format!("{method} {url}: {e}"))?;
    let (parts, body) = response.into_parts();
    let mut bytes = Vec::new();
    body.into_reader()
        .read_to_end(&mut bytes)
        .map_err(|e| format!("{method} {url}: body: {e}"))?;
    Ok(Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: bytes,
    })
}

/// GET that must be answered.
pub fn get(url: &str) -> Answer {
    request("GET", url).unwrap()
}

/// Asks `condition` again and again until it gives a value; fails the test after [`PATIENCE`].
pub fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    wait_within(PATIENCE, what, &mut condition)
}

/// [`wait_for`] with another deadline.
#[allow(
    clippy::disallowed_methods,
    reason = "polls a process from outside, with a deadline"
)]
pub fn wait_within<T>(limit: Duration, what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = std::time::Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Runs a command to its end; gives stdout and stderr, fails the test when it fails.
pub fn run(program: &str, args: &[&str]) -> (String, String) {
    let out = std::process::Command::new(program)
        .args(args)
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("{program} does not start: {e}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        out.status.success(),
        "{program} {args:?}: {}\n{}",
        out.status,
        text(&out.stderr)
    );
    (text(&out.stdout), text(&out.stderr))
}
