//! Where the load goes: addresses as the user writes them, resolved once at the start.
//!
//! A target that cannot be reached at all is told before anything runs, with what to check; one
//! that goes away later is an error of the run.

use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use url::Url;

/// RTMP's registered port.
const RTMP_PORT: u16 = 1935;
/// HTTP's registered port.
const HTTP_PORT: u16 = 80;
/// Time a connection may take to stand.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// `rtmp://host[:port]/App`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RtmpTarget {
    /// As written, without a trailing slash.
    pub url: String,
    /// `host:port`.
    pub authority: String,
    /// The application.
    pub app: String,
}

/// `http://host[:port]/App`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpTarget {
    /// As written, without a trailing slash.
    pub url: String,
    /// `host:port`, for connecting.
    pub authority: String,
    /// `Host` header.
    pub host: String,
    /// The application.
    pub app: String,
}

impl FromStr for RtmpTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = Parts::read(text, "rtmp", RTMP_PORT)?;
        Ok(Self {
            url: format!("rtmp://{}/{}", parts.host, parts.app),
            authority: parts.authority,
            app: parts.app,
        })
    }
}

impl FromStr for HttpTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with("https://") {
            return Err("https is not spoken yet: name the http door".to_owned());
        }
        let parts = Parts::read(text, "http", HTTP_PORT)?;
        Ok(Self {
            url: format!("http://{}/{}", parts.host, parts.app),
            authority: parts.authority,
            host: parts.host,
            app: parts.app,
        })
    }
}

impl HttpTarget {
    /// URL of a stream's multivariant playlist.
    pub(crate) fn multivariant(&self, stream: &str) -> Result<Url, url::ParseError> {
        Url::parse(&format!("{}/streams/{stream}.m3u8", self.url))
    }
}

/// What both kinds of URL are made of.
struct Parts {
    host: String,
    authority: String,
    app: String,
}

impl Parts {
    fn read(text: &str, scheme: &str, default_port: u16) -> Result<Self, String> {
        let form = || format!("expected {scheme}://HOST[:PORT]/APP");
        let url = Url::parse(text).map_err(|e| format!("{} ({e})", form()))?;
        let name = url.host_str().filter(|host| !host.is_empty());
        let app = url.path().trim_matches('/');
        let plain = url.username().is_empty() && url.query().is_none() && url.fragment().is_none();
        let (Some(name), true, true) = (name, url.scheme() == scheme, plain) else {
            return Err(form());
        };
        if app.is_empty() || app.contains('/') {
            return Err(format!("{}: one application, such as LiveApp", form()));
        }
        let host = match url.port() {
            Some(port) => format!("{name}:{port}"),
            None => name.to_owned(),
        };
        Ok(Self {
            host,
            authority: format!("{name}:{}", url.port().unwrap_or(default_port)),
            app: app.to_owned(),
        })
    }
}

/// A target that cannot be used at all.
#[derive(Debug, thiserror::Error)]
#[error("{flag} {url}: {problem}; check {check}")]
pub(crate) struct Unreachable {
    flag: &'static str,
    url: String,
    problem: String,
    check: &'static str,
}

/// Resolves `authority` and makes one connection to see that somebody listens.
pub(crate) async fn reach(
    flag: &'static str,
    url: &str,
    authority: &str,
) -> Result<Vec<SocketAddr>, Unreachable> {
    let fault = |problem: String, check| Unreachable {
        flag,
        url: url.to_owned(),
        problem,
        check,
    };
    let found = lookup_host(authority).await.map_err(|e| {
        let problem = format!("the name cannot be resolved ({e})");
        fault(problem, "the spelling and the DNS of this machine")
    })?;
    let addresses: Vec<SocketAddr> = found.collect();
    match connect(&addresses).await {
        Ok(_) => Ok(addresses),
        Err(error) => Err(fault(
            format!("no connection to {authority} ({error})"),
            "that weir or its load balancer runs there, the port, and firewalls between",
        )),
    }
}

/// Connects to the first address that answers.
pub(crate) async fn connect(addresses: &[SocketAddr]) -> std::io::Result<TcpStream> {
    let attempt = timeout(CONNECT_TIMEOUT, TcpStream::connect(addresses)).await;
    let stream = attempt.map_err(|_| {
        let text = format!("no answer within {} s", CONNECT_TIMEOUT.as_secs());
        std::io::Error::new(std::io::ErrorKind::TimedOut, text)
    })??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_with_their_default_ports() {
        let rtmp: RtmpTarget = "rtmp://cdn.example/LiveApp/".parse().unwrap();
        assert_eq!(rtmp.authority, "cdn.example:1935");
        assert_eq!(
            (rtmp.app.as_str(), rtmp.url.as_str()),
            ("LiveApp", "rtmp://cdn.example/LiveApp")
        );
        let http: HttpTarget = "http://127.0.0.1:5080/LiveApp".parse().unwrap();
        assert_eq!(
            (http.authority.as_str(), http.host.as_str()),
            ("127.0.0.1:5080", "127.0.0.1:5080")
        );
        let url = http.multivariant("cam-1").unwrap();
        assert_eq!(
            url.as_str(),
            "http://127.0.0.1:5080/LiveApp/streams/cam-1.m3u8"
        );
        let plain: HttpTarget = "http://cdn.example/App".parse().unwrap();
        assert_eq!(
            (plain.authority.as_str(), plain.host.as_str()),
            ("cdn.example:80", "cdn.example")
        );
        let six: RtmpTarget = "rtmp://[::1]:1936/App".parse().unwrap();
        assert_eq!(six.authority, "[::1]:1936");
    }

    #[test]
    fn other_urls_are_refused() {
        for text in [
            "http://a",
            "http://a/",
            "http://a/b/c",
            "a/b",
            "rtmp://a/b",
            "http://u:p@a/b",
            "http://a/b?c",
        ] {
            assert!(text.parse::<HttpTarget>().is_err(), "{text}");
        }
        assert!(
            "https://a/b"
                .parse::<HttpTarget>()
                .unwrap_err()
                .contains("https")
        );
    }

    #[tokio::test]
    async fn a_closed_port_is_told_with_what_to_check() {
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = socket.local_addr().unwrap().to_string();
        assert_eq!(
            reach("--http", "http://x/App", &authority)
                .await
                .unwrap()
                .len(),
            1
        );
        drop(socket);
        let error = reach("--http", "http://x/App", &authority)
            .await
            .unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("--http http://x/App: no connection to 127.0.0.1:"),
            "{text}"
        );
        assert!(text.contains("check that weir"), "{text}");
    }
}
