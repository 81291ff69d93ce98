//! A running balancer, and raw clients.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use prometheus::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use weir_conf::nginx::{Addr, LoadOptions, load_text};
use weir_lb::{Bound, Lb, LbError, LbOptions};

pub(crate) use crate::upstreams::{Answer, Upstream};

/// Nothing here takes this long unless it hangs.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// Fails the test if `work` hangs.
pub(crate) async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, work)
        .await
        .expect("done in time")
}

/// A balancer that runs until it is dropped or stopped.
pub(crate) struct Running {
    pub(crate) http: Vec<SocketAddr>,
    pub(crate) tcp: Vec<SocketAddr>,
    pub(crate) udp: Vec<SocketAddr>,
    pub(crate) registry: Registry,
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
}

/// Binds what a configuration says; `events {}` is added.
pub(crate) fn bind(text: &str, options: LbOptions, registry: &Registry) -> Result<Bound, LbError> {
    let load = LoadOptions {
        allow_port_zero: true,
        ..LoadOptions::default()
    };
    let text = format!("events {{ worker_connections 4096; }}\n{text}");
    let config = load_text(&text, "t.conf", Path::new(""), &load).expect("the configuration loads");
    Lb::new(config, options, registry)?.bind()
}

/// Runs an `http` block of these contents.
pub(crate) fn start_http(inner: &str) -> Running {
    start(&format!("http {{\n{inner}\n}}"))
}

/// Runs one server that passes everything to these upstreams.
pub(crate) fn start_proxy(upstreams: &[&Upstream], extra: &str) -> Running {
    let servers: String = upstreams
        .iter()
        .map(|it| format!("server {};", it.addr))
        .collect();
    start_http(&format!(
        "upstream u {{ least_conn; {servers} }}
         server {{ listen 127.0.0.1:0; location / {{ proxy_pass http://u; {extra} }} }}"
    ))
}

pub(crate) fn start(text: &str) -> Running {
    start_with(text, LbOptions::default(), Duration::from_secs(5))
}

pub(crate) fn start_with(text: &str, options: LbOptions, drain: Duration) -> Running {
    let registry = Registry::new();
    let bound = bind(text, options, &registry).expect("the balancer binds");
    let inet = |addrs: Vec<Addr>| -> Vec<SocketAddr> {
        let only_inet = |addr| match addr {
            Addr::Inet(addr) => Some(addr),
            Addr::Unix(_) => None,
        };
        addrs.into_iter().filter_map(only_inet).collect()
    };
    let (http, tcp) = (inet(bound.http_addresses()), inet(bound.tcp_addresses()));
    let udp = inet(bound.udp_addresses());
    let stop = CancellationToken::new();
    let task = tokio::spawn(bound.run(stop.clone(), drain));
    Running {
        http,
        tcp,
        udp,
        registry,
        stop,
        task: Some(task),
    }
}

impl Running {
    pub(crate) fn begin_stop(&self) {
        self.stop.cancel();
    }

    /// Stops it and waits until it has ended.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        let task = self.task.take().expect("stopped once");
        within(task).await.expect("the balancer ends cleanly");
    }

    /// The sum of a metric over all its labels that contain `label`.
    pub(crate) fn metric(&self, name: &str, label: &str) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name);
        let metrics = family.map(|family| family.get_metric()).unwrap_or_default();
        metrics
            .iter()
            .filter(|it| label.is_empty() || it.get_label().iter().any(|l| l.value() == label))
            .map(|it| it.get_counter().get_value() + it.get_gauge().get_value())
            .sum()
    }

    /// Waits until a metric is what it should be.
    pub(crate) async fn until(&self, name: &str, label: &str, wanted: f64) {
        within(async {
            while self.metric(name, label) != wanted {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A 200 with this body.
pub(crate) fn ok(body: &str) -> Vec<u8> {
    answer("200 OK", "", body)
}

pub(crate) fn answer(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{headers}\r\n{body}").into_bytes()
}

/// Sends bytes and reads until the balancer closes.
pub(crate) async fn exchange(addr: SocketAddr, bytes: impl AsRef<[u8]>) -> String {
    let mut stream = connect(addr).await;
    within(async {
        // The balancer may have answered and closed before it is all sent.
        let _ = stream.write_all(bytes.as_ref()).await;
        let mut out = Vec::new();
        let _ = stream.read_to_end(&mut out).await;
        String::from_utf8_lossy(&out).into_owned()
    })
    .await
}

/// A GET on a connection of its own.
pub(crate) async fn get(addr: SocketAddr, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    exchange(addr, request).await
}

pub(crate) async fn connect(addr: SocketAddr) -> TcpStream {
    let stream = within(TcpStream::connect(addr))
        .await
        .expect("the balancer listens");
    stream.set_nodelay(true).unwrap();
    stream
}

/// Reads until `mark` has come.
pub(crate) async fn read_until(stream: &mut TcpStream, mark: &str) -> String {
    let mut out = Vec::new();
    within(async {
        while !String::from_utf8_lossy(&out).contains(mark) {
            let count = stream.read_buf(&mut out).await.expect("readable");
            assert!(
                count > 0,
                "closed before {mark:?}: {:?}",
                String::from_utf8_lossy(&out)
            );
        }
    })
    .await;
    String::from_utf8(out).unwrap()
}

/// Whether the balancer closes without another byte.
pub(crate) async fn closes(stream: &mut TcpStream) -> bool {
    let mut out = Vec::new();
    let result = within(stream.read_to_end(&mut out)).await;
    (result.is_ok() && out.is_empty()) || result.is_err()
}

/// A port that nobody listens on.
pub(crate) async fn dead_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
}
