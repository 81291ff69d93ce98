//! Sockets that another process listened on: which of them an address of the file is.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use socket2::{Socket, Type};
use weir_conf::nginx::Addr;
use weir_conf::nginx::model::Listen;

/// Sockets nobody has asked for yet.
#[derive(Debug)]
pub(crate) struct Inherited(Vec<(Addr, bool, Socket)>);

impl Inherited {
    /// Those of the files that are sockets and have an address.
    pub(crate) fn new(files: Vec<OwnedFd>) -> Self {
        let sockets = files.into_iter().filter_map(|file| {
            let socket = Socket::from(file);
            let addr = address(&socket)?;
            let udp = socket.r#type().ok()? == Type::DGRAM;
            socket.set_nonblocking(true).ok()?;
            Some((addr, udp, socket))
        });
        Self(sockets.collect())
    }

    /// The socket for an address, once.
    pub(crate) fn take(&mut self, listen: &Listen) -> Option<Socket> {
        let place = self
            .0
            .iter()
            .position(|(addr, udp, _)| *addr == listen.addr && *udp == listen.udp)?;
        let (addr, _, socket) = self.0.swap_remove(place);
        tracing::info!(severity = "notice", "listening on inherited {addr}");
        Some(socket)
    }
}

fn address(socket: &Socket) -> Option<Addr> {
    let addr = socket.local_addr().ok()?;
    if let Some(inet) = addr.as_socket() {
        return Some(Addr::Inet(inet));
    }
    addr.as_pathname().map(PathBuf::from).map(Addr::Unix)
}
