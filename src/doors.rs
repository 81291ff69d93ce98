//! Binding listeners, so that a port in use is told before anything runs.

use anyhow::{Context as _, anyhow};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;
use tokio::net::{TcpListener, UnixListener};
use weir_conf::node::Listen;
use weir_origin::HttpListener;

/// Listens on a TCP address; `role` and `key` say whose it is and how to change it.
pub(crate) async fn tcp(address: SocketAddr, role: &str, key: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|e| {
        let why = reason(&e);
        anyhow!("{role}: cannot listen on {address}: {why} (set {key} to another address)")
    })
}

/// Listens where settings say: TCP, or a unix socket.
pub(crate) async fn http(listen: &Listen, role: &str, key: &str) -> anyhow::Result<HttpListener> {
    match listen {
        Listen::Tcp(address) => tcp(*address, role, key).await.map(HttpListener::Tcp),
        Listen::Unix(path) => unix(path, role, key).map(HttpListener::Unix),
    }
}

/// Where a listener really listens, its port chosen.
pub(crate) fn bound(listener: &HttpListener, asked: &Listen) -> anyhow::Result<Listen> {
    match listener {
        HttpListener::Tcp(tcp) => Ok(Listen::Tcp(tcp.local_addr()?)),
        HttpListener::Unix(_) => Ok(asked.clone()),
    }
}

/// A socket file left behind by a process that is gone is replaced; a living one is not.
fn unix(path: &Path, role: &str, key: &str) -> anyhow::Result<UnixListener> {
    let shown = path.display();
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(anyhow!(
            "{role}: unix:{shown} is in use by another process (set {key})"
        ));
    }
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => {
            return Err(e).with_context(|| format!("{role}: cannot replace unix:{shown}"));
        }
        _ => {}
    }
    UnixListener::bind(path).map_err(|e| {
        anyhow!(
            "{role}: cannot listen on unix:{shown}: {} (set {key})",
            reason(&e)
        )
    })
}

fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::AddrInUse => "the address is in use by another process".to_owned(),
        ErrorKind::PermissionDenied => {
            "permission denied (ports below 1024 need root or CAP_NET_BIND_SERVICE)".to_owned()
        }
        ErrorKind::AddrNotAvailable => "this machine does not have that address".to_owned(),
        _ => error.to_string(),
    }
}
