//! What a request says of the peer it should go to: a key to hash, a cookie it sticks by, a
//! stream that one of them has.
//!
//! A cookie's value is the MD5 of its server's address, as nginx's is: it names the server to
//! every balancer with the same configuration, without telling the address. It guards nothing:
//! a client that makes one up gets the server it might have got anyway.

use std::time::Duration;

use http::HeaderValue;
use http::header::COOKIE;
use md5::{Digest as _, Md5};
use pingora::proxy::Session;
use weir_conf::nginx::model::{Method, SameSite, Sticky};

use super::proxy::{Ctx, Gateway};
use super::vars::Values;
use crate::balance::{Walk, address_key};
use crate::group::Group;
use crate::owners::stream_of;

impl Gateway {
    /// The beginning of a request's way over the peers.
    pub(crate) async fn walk(&self, session: &Session, ctx: &Ctx, group: &Group) -> Walk {
        let mut walk = self.own_way(session, ctx, group);
        if group.prefers_owner()
            && let Some(owner) = self.owner(session, ctx, group).await
        {
            walk.prefer(owner);
        }
        walk
    }

    /// The number of the peer that has the stream which the path names.
    async fn owner(&self, session: &Session, ctx: &Ctx, group: &Group) -> Option<usize> {
        let stream = stream_of(&self.values(session, ctx).path())?;
        let address = self.owners.of(&stream).await?;
        group.at(&address)
    }

    fn own_way(&self, session: &Session, ctx: &Ctx, group: &Group) -> Walk {
        let key = match &group.method {
            Method::IpHash => address_key(ctx.remote().map(|addr| addr.ip())),
            Method::Hash { key, .. } => self.values(session, ctx).value(key).into_owned(),
            _ => Vec::new(),
        };
        let sticky = group.sticky.as_ref();
        let prefer = sticky
            .and_then(|sticky| cookie(session, &sticky.cookie))
            .and_then(|value| {
                let peers = group.peers();
                let named = peers.iter().find(|peer| id(&peer.name).as_bytes() == value);
                named.map(|peer| peer.number)
            });
        Walk::new(key, prefer)
    }

    /// The cookie that binds a client to the peer that answers it.
    pub(crate) fn sticky_cookie(&self, session: &Session, ctx: &Ctx) -> Option<HeaderValue> {
        let group = self.group(ctx)?;
        let sticky = group.sticky.as_ref()?;
        let peer = ctx.lease.as_ref()?.peer();
        let line = line(sticky, &id(&peer.name), &self.values(session, ctx));
        // A value that cannot stand in a header is left out.
        HeaderValue::from_bytes(&line).ok()
    }
}

/// Lower-case hex.
fn id(address: &str) -> String {
    let digest = Md5::digest(address.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn cookie<'a>(session: &'a Session, name: &str) -> Option<&'a [u8]> {
    let headers = session.req_header().headers.get_all(COOKIE);
    let mut pairs = headers
        .iter()
        .flat_map(|header| header.as_bytes().split(|byte| *byte == b';'));
    pairs.find_map(|pair| {
        let rest = pair.trim_ascii().strip_prefix(name.as_bytes())?;
        rest.strip_prefix(b"=")
    })
}

fn line(sticky: &Sticky, id: &str, values: &Values<'_>) -> Vec<u8> {
    let mut line = format!("{}={id}", sticky.cookie).into_bytes();
    if let Some(seconds) = sticky.expires_s {
        if seconds == Sticky::EXPIRES_MAX_S {
            line.extend_from_slice(b"; expires=Thu, 31-Dec-37 23:55:55 GMT");
        } else {
            let until = super::reply::now() + Duration::from_secs(seconds);
            let until = chrono::DateTime::<chrono::Utc>::from(until);
            let until = until.format("; expires=%a, %d-%b-%y %H:%M:%S GMT");
            line.extend_from_slice(until.to_string().as_bytes());
        }
        line.extend_from_slice(format!("; max-age={seconds}").as_bytes());
    }
    for (name, template) in [("domain", &sticky.domain), ("path", &sticky.path)] {
        let value = template.as_ref().map(|it| values.value(it));
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            line.extend_from_slice(format!("; {name}=").as_bytes());
            line.extend_from_slice(&value);
        }
    }
    let same_site = match &sticky.same_site {
        Some(SameSite::Strict) => Some("strict"),
        Some(SameSite::Lax) => Some("lax"),
        Some(SameSite::None) => Some("none"),
        Some(SameSite::Value(template)) => {
            let value = values.value(template);
            let words = ["strict", "lax", "none"];
            let known = words
                .into_iter()
                .find(|word| value.eq_ignore_ascii_case(word.as_bytes()));
            // One that is none of them is the strictest.
            known.or((!value.is_empty()).then_some("strict"))
        }
        None => None,
    };
    if let Some(word) = same_site {
        line.extend_from_slice(format!("; samesite={word}").as_bytes());
    }
    if sticky.secure {
        line.extend_from_slice(b"; secure");
    }
    if sticky.http_only {
        line.extend_from_slice(b"; httponly");
    }
    line
}
