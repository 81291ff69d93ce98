//! `set_real_ip_from`: the client that a believed proxy stands for.
//!
//! Found once a request, at the server and then at the location, whichever names believed proxies
//! first; what is found holds for that request alone. Everything a request knows of its client
//! goes through [`Ctx::remote`] from then on; `$realip_remote_addr` is who is connected.

use std::net::{IpAddr, SocketAddr};

use pingora::proxy::Session;
use weir_conf::nginx::model::guard::{RealIp, ToldBy};

use super::proxy::{Ctx, Gateway};

/// Who a request is from, if that is not who is connected.
#[derive(Debug, Clone)]
pub(crate) struct Behind {
    addr: SocketAddr,
    text: String,
}

impl Ctx {
    /// The client's address; `None` if it is on a unix socket.
    pub(crate) fn remote(&self) -> Option<SocketAddr> {
        match &self.behind {
            Some(behind) => Some(behind.addr),
            None => self.conn.as_ref().and_then(|conn| conn.remote),
        }
    }

    /// `$remote_addr`
    pub(crate) fn remote_text(&self) -> &str {
        match (&self.behind, &self.conn) {
            (Some(behind), _) => &behind.text,
            (None, Some(conn)) => &conn.remote_text,
            (None, None) => "-",
        }
    }
}

impl Gateway {
    /// Takes the request for that of the client behind the proxy, if one is told and believed.
    pub(super) fn find_client(&self, session: &Session, ctx: &mut Ctx) {
        let Some(real) = &self.common(ctx).guard.real_ip else {
            return;
        };
        if ctx.behind.is_some() {
            return;
        }
        let connected = ctx.conn.as_ref().and_then(|conn| conn.remote);
        let found = match &real.told_by {
            ToldBy::ProxyProtocol => {
                let told = ctx.conn.as_ref().and_then(|conn| conn.told);
                told.map(|told| told.client)
                    .filter(|_| real.believes(connected.map(|addr| addr.ip())))
            }
            ToldBy::Header(name) => {
                let all = session.req_header().headers.get_all(name).iter();
                let mut lists: Vec<&[u8]> = all.map(http::HeaderValue::as_bytes).collect();
                if name != "x-forwarded-for" {
                    lists.truncate(1);
                }
                client_of(real, connected.map(|addr| addr.ip()), &lists)
            }
        };
        ctx.behind = found.map(|addr| Behind {
            addr,
            text: addr.ip().to_string(),
        });
    }
}

/// The last address of the lists; or, if the search goes on, the last that is not a believed
/// proxy's itself. A port that is not told is zero.
fn client_of(real: &RealIp, connected: Option<IpAddr>, lists: &[&[u8]]) -> Option<SocketAddr> {
    if !real.believes(connected) {
        return None;
    }
    let is_gap = |byte: &u8| matches!(byte, b',' | b' ');
    let items = lists.iter().rev().flat_map(|list| list.rsplit(is_gap));
    let mut found = None;
    for item in items.filter(|item| !item.is_empty()) {
        let Some(addr) = address(item) else { break };
        found = Some(addr);
        if !real.recursive || !real.believes(Some(addr.ip())) {
            break;
        }
    }
    found
}

/// An address, with or without a port.
fn address(text: &[u8]) -> Option<SocketAddr> {
    let text = std::str::from_utf8(text).ok()?;
    if let Ok(addr) = text.parse::<SocketAddr>() {
        return Some(addr);
    }
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    bare.parse::<IpAddr>().ok().map(|ip| (ip, 0).into())
}

#[cfg(test)]
mod tests {
    use weir_conf::nginx::model::stream::Who;

    use super::*;

    fn real(recursive: bool) -> RealIp {
        RealIp {
            from: vec![
                Who::Net("127.0.0.1/32".parse().unwrap()),
                Who::Net("10.0.1.0/24".parse().unwrap()),
            ],
            told_by: ToldBy::Header("x-forwarded-for".to_owned()),
            recursive,
        }
    }

    fn found(recursive: bool, connected: &str, lists: &[&str]) -> Option<String> {
        let lists: Vec<&[u8]> = lists.iter().map(|it| it.as_bytes()).collect();
        let connected = connected.parse().ok();
        client_of(&real(recursive), connected, &lists).map(|addr| addr.to_string())
    }

    #[test]
    fn the_last_that_is_told_counts() {
        let found = |lists: &[&str]| found(false, "127.0.0.1", lists);
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(found(&["10.0.0.1, 192.0.2.1"]), some("192.0.2.1:0"));
        assert_eq!(found(&["192.0.2.1", "127.0.0.1:5 , "]), some("127.0.0.1:5"));
        assert_eq!(found(&["[2001:db8::1]:7"]), some("[2001:db8::1]:7"));
        assert_eq!(found(&["2001:db8::1"]), some("[2001:db8::1]:0"));
        for nobody in [&[][..], &[""], &["x"], &["192.0.2.1, x"], &["\u{e9}"]] {
            assert_eq!(found(nobody), None, "{nobody:?}");
        }
    }

    #[test]
    fn a_search_goes_on_behind_the_believed() {
        let found = |lists: &[&str]| found(true, "127.0.0.1", lists);
        let some = |text: &str| Some(text.to_owned());
        let wanted = some("192.0.2.1:0");
        assert_eq!(found(&["8.8.8.8, 192.0.2.1, 127.0.0.1"]), wanted);
        assert_eq!(
            found(&["8.8.8.8", "192.0.2.1", "127.0.0.1, 10.0.1.1"]),
            wanted
        );
        // What cannot be read ends it where it was.
        assert_eq!(found(&["x, 10.0.1.1"]), some("10.0.1.1:0"));
        assert_eq!(found(&["10.0.1.2, 10.0.1.1"]), some("10.0.1.2:0"));
    }

    #[test]
    fn only_the_believed_are_asked() {
        assert_eq!(found(true, "127.0.0.2", &["192.0.2.1"]), None);
        // On a unix socket, which is not among them.
        assert_eq!(found(true, "", &["192.0.2.1"]), None);
        assert!(found(false, "::ffff:127.0.0.1", &["192.0.2.1"]).is_some());
    }
}
