//! What is known of a session, and nginx's own variables of it.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use weir_conf::nginx::model::stream::StreamVar;
use weir_conf::nginx::model::variable::Variable;
use weir_conf::nginx::template::{Template, Var};

use super::hello::ClientHello;
use super::vars::Values;
use crate::proxy_protocol::Told;
use crate::shared_vars::{NGINX_VERSION, binary, hostname, of_time};
use crate::tls::TlsInfo;

/// Serial numbers of sessions: `$connection`.
static SERIAL: AtomicU64 = AtomicU64::new(1);

/// A session of the `stream` block.
#[derive(Debug)]
pub(super) struct Session {
    /// `$remote_addr`: who the client is taken for.
    pub(super) client: Option<SocketAddr>,
    /// Who connected: `$realip_remote_addr`.
    pub(super) peer: Option<SocketAddr>,
    /// Where it came to.
    pub(super) local: Option<SocketAddr>,
    /// `$protocol`
    pub(super) protocol: &'static str,
    /// What a PROXY header told.
    pub(super) told: Option<Told>,
    pub(super) tls: Option<TlsInfo>,
    pub(super) hello: Option<ClientHello>,
    /// `$server_name`
    pub(super) server_name: String,
    /// `$status`: what became of it, 0 while it runs.
    pub(super) status: u16,
    /// `$bytes_received`, from the client.
    pub(super) received_bytes: u64,
    /// `$bytes_sent`, to the client.
    pub(super) sent_bytes: u64,
    /// The peers it was tried on.
    pub(super) tries: Vec<Try>,
    /// Its place among the connections.
    pub(super) permit: Option<OwnedSemaphorePermit>,
    serial: u64,
    start: Instant,
    /// What variables of the file came to, by place.
    slots: Vec<Option<Vec<u8>>>,
}

/// A peer that a session was tried on.
#[derive(Debug, Clone, Default)]
pub(super) struct Try {
    /// `$upstream_addr`
    pub(super) addr: String,
    /// `$upstream_connect_time`; `None` if there was no connection.
    pub(super) connect: Option<Duration>,
    /// `$upstream_first_byte_time`
    pub(super) first_byte: Option<Duration>,
    /// `$upstream_session_time`
    pub(super) whole: Option<Duration>,
    /// `$upstream_bytes_sent`
    pub(super) sent_bytes: u64,
    /// `$upstream_bytes_received`
    pub(super) received_bytes: u64,
}

impl Session {
    pub(super) fn new(
        client: Option<SocketAddr>,
        local: Option<SocketAddr>,
        protocol: &'static str,
    ) -> Self {
        Self {
            client,
            peer: client,
            local,
            protocol,
            told: None,
            tls: None,
            hello: None,
            server_name: String::new(),
            status: 0,
            received_bytes: 0,
            sent_bytes: 0,
            tries: Vec::new(),
            permit: None,
            serial: SERIAL.fetch_add(1, Ordering::Relaxed),
            start: Instant::now(),
            slots: Vec::new(),
        }
    }

    /// The client for the log.
    pub(super) fn name(&self) -> String {
        self.client
            .map_or_else(|| "unix:".to_owned(), |addr| addr.to_string())
    }

    /// How long it has been going on.
    pub(super) fn age(&self) -> Duration {
        self.start.elapsed()
    }

    /// A value with variables, those of the file's `variables` too, which are then kept.
    pub(super) fn value(&mut self, template: &Template, variables: &[Variable]) -> Vec<u8> {
        if let Some(text) = template.as_text() {
            return text.as_bytes().to_vec();
        }
        let slots = std::mem::take(&mut self.slots);
        let values = Values::new(self, variables, slots);
        let value = values.value(template);
        self.slots = values.into_slots();
        value
    }

    /// Gives a variable of the file's a value.
    pub(super) fn set(&mut self, place: usize, value: Vec<u8>) {
        if self.slots.len() <= place {
            self.slots.resize(place + 1, None);
        }
        if let Some(slot) = self.slots.get_mut(place) {
            *slot = Some(value);
        }
    }

    /// Keeps what groups of an expression took in, the named ones as variables.
    pub(super) fn take(
        &mut self,
        regex: &weir_conf::nginx::regex::Regex,
        subject: &[u8],
        variables: &[Variable],
    ) {
        let slots = std::mem::take(&mut self.slots);
        let values = Values::new(self, variables, slots);
        values.take(regex, subject);
        self.slots = values.into_slots();
    }

    /// A variable of nginx's own.
    pub(super) fn variable(&self, var: &Var, out: &mut Vec<u8>) {
        match var {
            Var::RemoteAddr => write_ip(out, self.client),
            Var::RemotePort => write(out, self.client.map(|addr| addr.port())),
            Var::BinaryRemoteAddr => binary(self.client, out),
            Var::ServerAddr => write(out, self.local.map(|addr| addr.ip())),
            Var::ServerPort => write(out, self.local.map(|addr| addr.port())),
            Var::ServerName => out.extend_from_slice(self.server_name.as_bytes()),
            Var::Connection => write(out, Some(self.serial)),
            Var::Status => write(out, Some(format_args!("{:03}", self.status))),
            Var::BytesSent => write(out, Some(self.sent_bytes)),
            Var::UpstreamAddr => {
                let names: Vec<&str> = self.tries.iter().map(|it| it.addr.as_str()).collect();
                out.extend_from_slice(names.join(", ").as_bytes());
            }
            Var::UpstreamConnectTime => self.times(out, |it| it.connect),
            Var::RealipRemoteAddr => write_ip(out, self.peer),
            Var::RealipRemotePort => write(out, self.peer.map(|addr| addr.port())),
            Var::UpstreamBytesSent => self.counts(out, |it| it.sent_bytes),
            Var::UpstreamBytesReceived => self.counts(out, |it| it.received_bytes),
            Var::Hostname => out.extend_from_slice(hostname().as_bytes()),
            Var::NginxVersion => out.extend_from_slice(NGINX_VERSION.as_bytes()),
            Var::Pid => write(out, Some(std::process::id())),
            Var::Msec | Var::TimeLocal | Var::TimeIso8601 => of_time(var, out),
            Var::Ssl(var) => {
                if let Some(tls) = &self.tls {
                    tls.write(*var, out);
                }
            }
            Var::Stream(var) => self.own(*var, out),
            // Refused while loading.
            _ => {}
        }
    }

    /// A variable that only `stream` has.
    fn own(&self, var: StreamVar, out: &mut Vec<u8>) {
        let told = self.told;
        let hello = self.hello.as_ref();
        match var {
            StreamVar::Protocol => out.extend_from_slice(self.protocol.as_bytes()),
            StreamVar::BytesReceived => write(out, Some(self.received_bytes)),
            StreamVar::SessionTime => write(out, Some(seconds(self.age()))),
            StreamVar::UpstreamFirstByteTime => self.times(out, |it| it.first_byte),
            StreamVar::UpstreamSessionTime => self.times(out, |it| it.whole),
            StreamVar::ProxyProtocolAddr => write(out, told.map(|it| it.client.ip())),
            StreamVar::ProxyProtocolPort => write(out, told.map(|it| it.client.port())),
            StreamVar::ProxyProtocolServerAddr => write(out, told.map(|it| it.server.ip())),
            StreamVar::ProxyProtocolServerPort => write(out, told.map(|it| it.server.port())),
            StreamVar::SslPrereadServerName => {
                write(out, hello.map(|it| it.server_name.as_str()));
            }
            StreamVar::SslPrereadProtocol => write(out, hello.map(|it| it.protocol)),
            StreamVar::SslPrereadAlpnProtocols => {
                out.extend_from_slice(hello.map_or(&[][..], |it| &it.alpn_protocols));
            }
        }
    }

    /// One time a try, `-` for one that has none.
    fn times(&self, out: &mut Vec<u8>, time: impl Fn(&Try) -> Option<Duration>) {
        let text = |it: &Try| time(it).map_or_else(|| "-".to_owned(), seconds);
        let all: Vec<String> = self.tries.iter().map(text).collect();
        out.extend_from_slice(all.join(", ").as_bytes());
    }

    fn counts(&self, out: &mut Vec<u8>, count: impl Fn(&Try) -> u64) {
        let all: Vec<String> = self.tries.iter().map(|it| count(it).to_string()).collect();
        out.extend_from_slice(all.join(", ").as_bytes());
    }
}

/// Seconds with milliseconds.
fn seconds(time: Duration) -> String {
    format!("{}.{:03}", time.as_secs(), time.subsec_millis())
}

fn write_ip(out: &mut Vec<u8>, addr: Option<SocketAddr>) {
    match addr {
        Some(addr) => write(out, Some(addr.ip())),
        None => out.extend_from_slice(b"unix:"),
    }
}

fn write(out: &mut Vec<u8>, value: Option<impl std::fmt::Display>) {
    if let Some(value) = value {
        // Writing to a Vec does not fail.
        let _ = write!(out, "{value}");
    }
}
