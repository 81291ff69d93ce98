//! A running balancer, upstreams that do what a closure says, and raw clients.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prometheus::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use weir_conf::nginx::{Addr, LoadOptions, load_text};
use weir_lb::{Bound, Lb, LbError, LbOptions};

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
    let inet = |addrs: Vec<Addr>| {
        let only_inet = |addr| match addr {
            Addr::Inet(addr) => Some(addr),
            Addr::Unix(_) => None,
        };
        addrs.into_iter().filter_map(only_inet).collect()
    };
    let (http, tcp) = (inet(bound.http_addresses()), inet(bound.tcp_addresses()));
    let stop = CancellationToken::new();
    let task = tokio::spawn(bound.run(stop.clone(), drain));
    Running {
        http,
        tcp,
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

/// What an upstream does with a request.
pub(crate) enum Answer {
    /// Sends this and waits for the next request.
    Send(Vec<u8>),
    /// Sends this and closes.
    SendAndClose(Vec<u8>),
    /// Sends the pieces, each when the test says so, and closes.
    Pieces(Vec<Vec<u8>>, Arc<tokio::sync::Semaphore>),
    /// Never answers.
    Hang,
}

/// A request as an upstream got it.
#[derive(Debug, Clone)]
pub(crate) struct Got {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Got {
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let mut lines = self
            .head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(": "));
        let found = lines.find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.to_owned())
    }
}

/// An upstream on a port of its own.
pub(crate) struct Upstream {
    pub(crate) addr: SocketAddr,
    pub(crate) hits: Arc<AtomicUsize>,
    pub(crate) got: Arc<Mutex<Vec<Got>>>,
    stop: CancellationToken,
}

impl Upstream {
    pub(crate) async fn new(answer: impl Fn(&Got) -> Answer + Send + Sync + 'static) -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), answer).await
    }

    /// Answers every request with its name.
    pub(crate) async fn named(name: &'static str) -> Self {
        Self::new(move |_| Answer::Send(ok(name))).await
    }

    pub(crate) async fn at(
        addr: SocketAddr,
        answer: impl Fn(&Got) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(addr).unwrap();
        let listener = socket.listen(1024).unwrap();
        let upstream = Self {
            addr: listener.local_addr().unwrap(),
            hits: Arc::default(),
            got: Arc::default(),
            stop: CancellationToken::new(),
        };
        let (hits, got, stop) = (
            Arc::clone(&upstream.hits),
            Arc::clone(&upstream.got),
            upstream.stop.clone(),
        );
        tokio::spawn(stop.clone().run_until_cancelled_owned(serve(
            listener,
            Arc::new(answer),
            hits,
            got,
            stop,
        )));
        upstream
    }

    pub(crate) fn hits(&self) -> usize {
        self.hits.load(Ordering::SeqCst)
    }

    pub(crate) fn last(&self) -> Got {
        self.got
            .lock()
            .unwrap()
            .last()
            .expect("a request came")
            .clone()
    }

    /// Closes its port and cuts its connections.
    pub(crate) fn kill(&self) {
        self.stop.cancel();
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn serve(
    listener: TcpListener,
    answer: Arc<impl Fn(&Got) -> Answer + Send + Sync + 'static>,
    hits: Arc<AtomicUsize>,
    got: Arc<Mutex<Vec<Got>>>,
    stop: CancellationToken,
) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (answer, hits, got) = (Arc::clone(&answer), Arc::clone(&hits), Arc::clone(&got));
        let work = async move {
            let _ = connection(stream, &*answer, &hits, &got).await;
        };
        tokio::spawn(stop.clone().run_until_cancelled_owned(work));
    }
}

async fn connection(
    mut stream: TcpStream,
    answer: &(impl Fn(&Got) -> Answer + Send + Sync),
    hits: &AtomicUsize,
    got: &Mutex<Vec<Got>>,
) -> std::io::Result<()> {
    let mut buffer = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut buffer).await? {
        hits.fetch_add(1, Ordering::SeqCst);
        let answer = answer(&request);
        got.lock().unwrap().push(request);
        match answer {
            Answer::Send(bytes) => stream.write_all(&bytes).await?,
            Answer::SendAndClose(bytes) => return stream.write_all(&bytes).await,
            Answer::Pieces(pieces, go) => {
                for piece in pieces {
                    go.acquire().await.unwrap().forget();
                    stream.write_all(&piece).await?;
                }
                return Ok(());
            }
            Answer::Hang => std::future::pending::<()>().await,
        }
    }
    Ok(())
}

/// Reads one request; a chunked body is kept with its framing off.
async fn read_request(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
) -> std::io::Result<Option<Got>> {
    let Some(end) = fill_until(stream, buffer, b"\r\n\r\n").await? else {
        return Ok(None);
    };
    let head = String::from_utf8_lossy(&buffer[..end - 4]).into_owned();
    buffer.drain(..end);
    let mut request = Got {
        head,
        body: Vec::new(),
    };
    if let Some(length) = request.header("content-length") {
        let length: usize = length.parse().unwrap();
        while buffer.len() < length {
            if stream.read_buf(buffer).await? == 0 {
                return Ok(None);
            }
        }
        request.body = buffer.drain(..length).collect();
    } else if request.header("transfer-encoding").is_some() {
        loop {
            let Some(end) = fill_until(stream, buffer, b"\r\n").await? else {
                return Ok(None);
            };
            let size = String::from_utf8_lossy(&buffer[..end - 2]).into_owned();
            let size = usize::from_str_radix(size.trim(), 16).unwrap();
            buffer.drain(..end);
            while buffer.len() < size + 2 {
                if stream.read_buf(buffer).await? == 0 {
                    return Ok(None);
                }
            }
            request.body.extend(buffer.drain(..size + 2).take(size));
            if size == 0 {
                break;
            }
        }
    }
    Ok(Some(request))
}

async fn fill_until(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
    mark: &[u8],
) -> std::io::Result<Option<usize>> {
    loop {
        if let Some(at) = buffer.windows(mark.len()).position(|window| window == mark) {
            return Ok(Some(at + mark.len()));
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
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
