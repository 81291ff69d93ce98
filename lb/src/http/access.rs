//! Who may come in: `allow`, `deny`, `auth_basic`, `auth_request`, `satisfy`.
//!
//! Passwords are compared with what stands in the user file, which is read for each request as
//! nginx reads it, up to [`USER_FILE_BYTES_MAX`]; neither is ever logged.

use std::ffi::OsStr;
use std::io::Read as _;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use pingora::proxy::Session;
use weir_conf::nginx::model::web::{AccessRule, AuthBasic, Who};

use super::machine::Phase;
use super::proxy::{Ctx, Gateway};
use super::reply::Step;

/// Most of a user file that is read.
const USER_FILE_BYTES_MAX: u64 = 4 << 20;

impl Gateway {
    /// The access phase.
    pub(super) fn access(&self, session: &Session, ctx: &mut Ctx) -> Phase {
        if ctx.inner.is_some() {
            return Phase::Try;
        }
        let web = self.web(ctx);
        let by_address = allowed(&web.access, ctx.remote().map(|addr| addr.ip()));
        let any = web.satisfy_any;
        let mut refused = None;
        match by_address {
            Some(false) if any => refused = Some(403),
            Some(false) => return Phase::Fail(403),
            Some(true) if any => return Phase::Try,
            _ => {}
        }
        if let Some(auth) = &web.auth {
            match self.authenticate(auth, session, ctx) {
                Ok(()) if any => return Phase::Try,
                Ok(()) => {}
                Err(status @ (401 | 403)) if any => refused = Some(status),
                Err(status) => return self.refuse(ctx, status),
            }
        }
        if self.common(ctx).guard.auth_request.is_some() {
            return Phase::Answer(Box::new(Step::Ask(refused)));
        }
        match refused {
            Some(status) => self.refuse(ctx, status),
            None => Phase::Try,
        }
    }

    /// Refuses a request; after a while (`auth_delay`) if it showed nothing that lets in.
    pub(super) fn refuse(&self, ctx: &Ctx, status: u16) -> Phase {
        match self.common(ctx).guard.auth_delay_ms {
            ms if ms > 0 && status == 401 => {
                let wait = Step::Wait(Duration::from_millis(ms), Box::new(Phase::Fail(401)));
                Phase::Answer(Box::new(wait))
            }
            _ => Phase::Fail(status),
        }
    }

    fn authenticate(&self, auth: &AuthBasic, session: &Session, ctx: &mut Ctx) -> Result<(), u16> {
        let realm = self.values(session, ctx).value(&auth.realm).into_owned();
        if realm == b"off" {
            return Ok(());
        }
        let realm = String::from_utf8_lossy(&realm).into_owned();
        let Some((user, password)) = credentials(session) else {
            return Err(challenge(ctx, &realm));
        };
        let Some(file) = &auth.file else {
            return Err(403);
        };
        let file = self.values(session, ctx).value(file).into_owned();
        let file = auth.prefix.join(OsStr::from_bytes(&file));
        let Some(hash) = look_up(&file, &user)? else {
            return Err(challenge(ctx, &realm));
        };
        if verify(&password, &hash) {
            return Ok(());
        }
        Err(challenge(ctx, &realm))
    }
}

fn challenge(ctx: &mut Ctx, realm: &str) -> u16 {
    ctx.flow.challenges = vec![format!("Basic realm=\"{realm}\"")];
    401
}

/// What the first rule that fits says; a client on a unix socket has no address.
fn allowed(rules: &[AccessRule], addr: Option<IpAddr>) -> Option<bool> {
    let addr = addr.map(|addr| addr.to_canonical());
    let fits = |rule: &&AccessRule| match (rule.who, addr) {
        (Who::All, _) | (Who::Unix, None) => true,
        (Who::Net(net), Some(addr)) => net.contains(&addr),
        _ => false,
    };
    rules.iter().find(fits).map(|rule| rule.allow)
}

/// The user and password of `Authorization: Basic`.
pub(super) fn credentials(session: &Session) -> Option<(String, String)> {
    let header = session.req_header().headers.get("authorization")?;
    let text = header.to_str().ok()?;
    let (scheme, encoded) = text.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(encoded.trim())
        .ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (user, password) = text.split_once(':')?;
    (!user.is_empty()).then(|| (user.to_owned(), password.to_owned()))
}

/// The hash a user file has for a user.
fn look_up(path: &Path, user: &str) -> Result<Option<String>, u16> {
    let mut text = Vec::new();
    let read = std::fs::File::open(path)
        .and_then(|file| file.take(USER_FILE_BYTES_MAX).read_to_end(&mut text));
    if let Err(error) = read {
        let file = path.display();
        tracing::error!(%error, "open() \"{file}\" failed");
        return Err(match error.kind() {
            std::io::ErrorKind::NotFound => 403,
            _ => 500,
        });
    }
    let text = String::from_utf8_lossy(&text);
    let mut lines = text.lines().filter(|line| !line.starts_with('#'));
    let hash = lines.find_map(|line| {
        let (name, rest) = line.split_once(':')?;
        (name == user).then(|| rest.split(':').next().unwrap_or_default().to_owned())
    });
    Ok(hash)
}

/// Whether a password is the one hashed: crypt(3)'s kinds, `$apr1$`, `{SHA}`, `{SSHA}`,
/// `{PLAIN}`.
fn verify(password: &str, hash: &str) -> bool {
    let decode = |text: &str| base64::engine::general_purpose::STANDARD.decode(text).ok();
    if let Some(plain) = hash.strip_prefix("{PLAIN}") {
        return same(plain.as_bytes(), password.as_bytes());
    }
    if let Some(digest) = hash.strip_prefix("{SHA}") {
        return decode(digest).is_some_and(|digest| same(&digest, &sha1(&[password.as_bytes()])));
    }
    if let Some(digest) = hash.strip_prefix("{SSHA}") {
        let Some(digest) = decode(digest).filter(|digest| digest.len() >= 20) else {
            return false;
        };
        let (digest, salt) = digest.split_at(20);
        return same(digest, &sha1(&[password.as_bytes(), salt]));
    }
    if hash.starts_with("$apr1$") {
        return super::apr1::verify(password, hash);
    }
    pwhash::unix::verify(password, hash)
}

fn sha1(parts: &[&[u8]]) -> Vec<u8> {
    use sha1::Digest as _;
    let mut hasher = sha1::Sha1::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().to_vec()
}

/// Compared in a time that does not tell where they differ.
fn same(left: &[u8], right: &[u8]) -> bool {
    use subtle::ConstantTimeEq as _;
    left.ct_eq(right).into()
}
