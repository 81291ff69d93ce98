//! Upstreams that do with each request what a closure says.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::tools::ok;

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
