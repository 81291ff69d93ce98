//! A UDP listener's socket: what comes in, and answers that go out from where it came to.
//!
//! Why not tokio's alone: a socket on a wildcard address has every address of the machine, and a
//! client takes an answer only from the one it asked. The system tells which it was beside each
//! datagram, if asked (`IP_PKTINFO`), and takes it back with the answer; `nix` has that, tokio
//! has not. Sockets on one address do without.

use std::io::{IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd as _;
use std::sync::Arc;

use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
use nix::sys::socket::sockopt::{Ipv4PacketInfo, Ipv6RecvPacketInfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt,
};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// A listener's socket.
#[derive(Debug, Clone)]
pub(super) struct Inbox {
    socket: Arc<UdpSocket>,
    /// Where it listens; without an IP if that is each datagram's to say.
    local: Option<SocketAddr>,
    port: u16,
}

/// The way back to one client.
#[derive(Debug)]
pub(super) struct Back {
    inbox: Inbox,
    pub(super) client: SocketAddr,
    from: Option<IpAddr>,
}

impl Inbox {
    pub(super) fn new(socket: Arc<UdpSocket>) -> Self {
        let local = socket.local_addr().ok();
        let wild = local.is_some_and(|addr| addr.ip().is_unspecified());
        let told = wild
            && match local {
                Some(SocketAddr::V6(_)) => setsockopt(&socket, Ipv6RecvPacketInfo, &true).is_ok(),
                _ => setsockopt(&socket, Ipv4PacketInfo, &true).is_ok(),
            };
        Self {
            socket,
            local: local.filter(|_| !told),
            port: local.map_or(0, |addr| addr.port()),
        }
    }

    /// The next datagram: its length, who sent it and where it came to.
    pub(super) async fn receive(
        &self,
        buffer: &mut [u8],
    ) -> std::io::Result<(usize, SocketAddr, Option<SocketAddr>)> {
        if let Some(local) = self.local {
            let (count, client) = self.socket.recv_from(buffer).await?;
            return Ok((count, client, Some(local)));
        }
        let fd = self.socket.as_raw_fd();
        let read = || receive(fd, buffer);
        let (count, client, to) = self.socket.async_io(Interest::READABLE, read).await?;
        Ok((count, client, to.map(|ip| SocketAddr::new(ip, self.port))))
    }

    /// The way back to who sent a datagram.
    pub(super) fn back(&self, client: SocketAddr, to: Option<SocketAddr>) -> Back {
        Back {
            inbox: self.clone(),
            client,
            from: to.filter(|_| self.local.is_none()).map(|addr| addr.ip()),
        }
    }
}

impl Back {
    pub(super) async fn send(&self, bytes: &[u8]) -> std::io::Result<()> {
        let socket = &self.inbox.socket;
        let Some(from) = self.from else {
            return socket.send_to(bytes, self.client).await.map(|_| ());
        };
        let fd = socket.as_raw_fd();
        let write = || send(fd, bytes, self.client, from);
        socket.async_io(Interest::WRITABLE, write).await
    }
}

fn receive(
    fd: std::os::fd::RawFd,
    buffer: &mut [u8],
) -> std::io::Result<(usize, SocketAddr, Option<IpAddr>)> {
    let mut space = nix::cmsg_space!(in_pktinfo, in6_pktinfo);
    let mut parts = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::empty();
    let got = recvmsg::<SockaddrStorage>(fd, &mut parts, Some(&mut space), flags)?;
    let mut to = None;
    for message in got.cmsgs()? {
        match message {
            ControlMessageOwned::Ipv4PacketInfo(info) => {
                to = Some(Ipv4Addr::from(info.ipi_addr.s_addr.to_ne_bytes()).into());
            }
            ControlMessageOwned::Ipv6PacketInfo(info) => {
                to = Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).to_canonical());
            }
            _ => {}
        }
    }
    let client = got.address.as_ref().and_then(inet);
    let client = client.ok_or(std::io::ErrorKind::InvalidData)?;
    Ok((got.bytes, client, to))
}

fn inet(address: &SockaddrStorage) -> Option<SocketAddr> {
    let four = address.as_sockaddr_in().map(|it| {
        let addr = std::net::SocketAddrV4::from(*it);
        SocketAddr::V4(addr)
    });
    four.or_else(|| {
        let six = address.as_sockaddr_in6()?;
        Some(SocketAddr::V6(std::net::SocketAddrV6::from(*six)))
    })
}

fn send(
    fd: std::os::fd::RawFd,
    bytes: &[u8],
    client: SocketAddr,
    from: IpAddr,
) -> std::io::Result<()> {
    let parts = [IoSlice::new(bytes)];
    let to = SockaddrStorage::from(client);
    let flags = MsgFlags::empty();
    // On a socket of both families an IPv4 address is written as IPv6.
    let (four, six) = match (from, client) {
        (IpAddr::V4(ip), SocketAddr::V4(_)) => (ip, None),
        (IpAddr::V4(ip), SocketAddr::V6(_)) => (ip, Some(ip.to_ipv6_mapped())),
        (IpAddr::V6(ip), _) => (Ipv4Addr::UNSPECIFIED, Some(ip)),
    };
    let (info4, info6);
    let message = match six {
        None => {
            info4 = in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: in_addr {
                    s_addr: u32::from_ne_bytes(four.octets()),
                },
                ipi_addr: in_addr { s_addr: 0 },
            };
            ControlMessage::Ipv4PacketInfo(&info4)
        }
        Some(ip) => {
            info6 = in6_pktinfo {
                ipi6_addr: in6_addr {
                    s6_addr: ip.octets(),
                },
                ipi6_ifindex: 0,
            };
            ControlMessage::Ipv6PacketInfo(&info6)
        }
    };
    sendmsg(fd, &parts, &[message], flags, Some(&to))?;
    Ok(())
}
