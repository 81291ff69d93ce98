//! Values of how a request is passed on that `http`, `server` and `location` may each set.
//! Inheritance as in [`super::scope`].

use super::super::error::{Error, Kind};
use super::super::model::proxy::{Bind, Flags, Passing, Pattern, Rate};
use super::super::parse::Directive;
use super::super::template::Template;
use super::http::Refs;
use super::rewriting::{cookie_flags, pair};
use super::scope::value;
use super::{Once, flag, invalid_parameter, size_bytes};

/// What nginx never shows of an upstream's answer unless it is told to.
const HIDDEN: [&str; 8] = [
    "date",
    "server",
    "x-pad",
    "x-accel-expires",
    "x-accel-redirect",
    "x-accel-limit-rate",
    "x-accel-buffering",
    "x-accel-charset",
];

/// Headers that `proxy_ignore_headers` knows.
const IGNORABLE: [&str; 9] = [
    "x-accel-redirect",
    "x-accel-expires",
    "x-accel-limit-rate",
    "x-accel-buffering",
    "x-accel-charset",
    "expires",
    "cache-control",
    "set-cookie",
    "vary",
];

/// Pairs of what is looked for and what takes its place.
pub(super) type Pairs = Vec<(Pattern, Template)>;

/// What one block sets itself.
#[derive(Debug, Clone, Default)]
pub(super) struct PassingScope {
    method: Option<Template>,
    http_1_0: Option<bool>,
    headers: Option<bool>,
    body: Option<bool>,
    request_buffering: Option<bool>,
    set_body: Option<Template>,
    limit_rate: Option<Rate>,
    bind: Option<Option<Bind>>,
    socket_keepalive: Option<bool>,
    ignore_headers: Option<Vec<String>>,
    pass_headers: Option<Vec<String>>,
    cookie_domains: Option<Pairs>,
    cookie_paths: Option<Pairs>,
    cookie_flags: Option<Vec<(Pattern, Flags)>>,
}

impl PassingScope {
    /// Reads one directive. Says whether it was one of these.
    pub(super) fn read(
        &mut self,
        d: &Directive,
        refs: &Refs,
        once: &mut Once,
    ) -> Result<bool, Error> {
        if self.list(d, refs)? {
            return Ok(true);
        }
        match d.name.as_str() {
            "proxy_method" => self.method = Some(value(d, 0, refs)?),
            "proxy_http_version" => self.http_1_0 = Some(http_version(d)?),
            "proxy_pass_request_headers" => self.headers = Some(flag(d)),
            "proxy_pass_request_body" => self.body = Some(flag(d)),
            "proxy_request_buffering" => self.request_buffering = Some(flag(d)),
            "proxy_set_body" => self.set_body = Some(value(d, 0, refs)?),
            "proxy_limit_rate" => self.limit_rate = Some(limit_rate(d, refs)?),
            "proxy_bind" => self.bind = Some(bind(d, refs)?),
            "proxy_socket_keepalive" => self.socket_keepalive = Some(flag(d)),
            "proxy_ignore_client_abort" => ignore_client_abort(d)?,
            _ => return Ok(false),
        }
        once.first(d)?;
        Ok(true)
    }

    fn list(&mut self, d: &Directive, refs: &Refs) -> Result<bool, Error> {
        match d.name.as_str() {
            "proxy_pass_header" => {
                let name = d.arg(0).unwrap_or_default().to_ascii_lowercase();
                self.pass_headers.get_or_insert_default().push(name);
            }
            "proxy_ignore_headers" => {
                let names = ignore_headers(d)?;
                self.ignore_headers.get_or_insert_default().extend(names);
            }
            "proxy_cookie_domain" => pair(d, refs, &mut self.cookie_domains)?,
            "proxy_cookie_path" => pair(d, refs, &mut self.cookie_paths)?,
            "proxy_cookie_flags" => cookie_flags(d, refs, &mut self.cookie_flags)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The values inside a block that sets `self`, in one of `outer`.
    pub(super) fn within(self, outer: &Self) -> Self {
        let outer = outer.clone();
        Self {
            method: self.method.or(outer.method),
            http_1_0: self.http_1_0.or(outer.http_1_0),
            headers: self.headers.or(outer.headers),
            body: self.body.or(outer.body),
            request_buffering: self.request_buffering.or(outer.request_buffering),
            set_body: self.set_body.or(outer.set_body),
            limit_rate: self.limit_rate.or(outer.limit_rate),
            bind: self.bind.or(outer.bind),
            socket_keepalive: self.socket_keepalive.or(outer.socket_keepalive),
            ignore_headers: self.ignore_headers.or(outer.ignore_headers),
            pass_headers: self.pass_headers.or(outer.pass_headers),
            cookie_domains: self.cookie_domains.or(outer.cookie_domains),
            cookie_paths: self.cookie_paths.or(outer.cookie_paths),
            cookie_flags: self.cookie_flags.or(outer.cookie_flags),
        }
    }

    /// With nginx's defaults.
    pub(super) fn passing(&self) -> Passing {
        let defaults = Passing::default();
        Passing {
            method: self.method.clone(),
            http_1_0: self.http_1_0.unwrap_or(defaults.http_1_0),
            headers: self.headers.unwrap_or(defaults.headers),
            body: self.body.unwrap_or(defaults.body),
            request_buffering: self.request_buffering.unwrap_or(defaults.request_buffering),
            set_body: self.set_body.clone(),
            limit_rate: self.limit_rate.clone().unwrap_or(defaults.limit_rate),
            bind: self.bind.clone().flatten(),
            socket_keepalive: self.socket_keepalive.unwrap_or_default(),
            ignore_headers: self.ignore_headers.clone().unwrap_or_default(),
            cookie_domains: self.cookie_domains.clone().unwrap_or_default(),
            cookie_paths: self.cookie_paths.clone().unwrap_or_default(),
            cookie_flags: self.cookie_flags.clone().unwrap_or_default(),
        }
    }

    /// What of an answer is kept from the client, given `proxy_hide_header`.
    pub(super) fn hidden(&self, more: &[String]) -> Vec<String> {
        let passed = self.pass_headers.as_deref().unwrap_or_default();
        let own = HIDDEN.iter().map(|name| (*name).to_owned());
        own.chain(more.iter().cloned())
            .filter(|name| !passed.contains(name))
            .collect()
    }
}

/// True for 1.0.
fn http_version(d: &Directive) -> Result<bool, Error> {
    match d.arg(0).unwrap_or_default() {
        "1.1" => Ok(false),
        "1.0" => Ok(true),
        "2" => {
            let message = "\"proxy_http_version 2\" is not supported by weir yet";
            Err(d.fault(Kind::Unsupported, message))
        }
        other => Err(d.fault(Kind::Value, format!("invalid value \"{other}\""))),
    }
}

fn ignore_client_abort(d: &Directive) -> Result<(), Error> {
    if flag(d) {
        let message = "\"proxy_ignore_client_abort on\" is not supported by weir yet";
        return Err(d.fault(Kind::Unsupported, message));
    }
    Ok(())
}

fn limit_rate(d: &Directive, refs: &Refs) -> Result<Rate, Error> {
    if d.arg(0).is_some_and(|text| text.contains('$')) {
        return Ok(Rate::Variable(value(d, 0, refs)?));
    }
    Ok(Rate::Fixed(size_bytes(d, 0)?))
}

fn bind(d: &Directive, refs: &Refs) -> Result<Option<Bind>, Error> {
    let text = d.arg(0).unwrap_or_default();
    if text == "off" && d.args.len() == 1 {
        return Ok(None);
    }
    if d.arg(1) == Some("transparent") {
        let message = "\"transparent\" in \"proxy_bind\" is not supported by weir yet";
        return Err(d.fault(Kind::Unsupported, message));
    }
    if let Some(other) = d.arg(1) {
        return Err(invalid_parameter(d, other));
    }
    if text.contains('$') {
        return Ok(Some(Bind::Variable(value(d, 0, refs)?)));
    }
    let addr = Bind::addr(text).ok_or_else(|| {
        let message = format!("invalid address \"{text}\"");
        d.fault(Kind::Value, message)
    })?;
    Ok(Some(Bind::Fixed(addr)))
}

fn ignore_headers(d: &Directive) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    for token in &d.args {
        let name = token.text.to_ascii_lowercase();
        if !IGNORABLE.contains(&name.as_str()) {
            let message = format!("invalid value \"{}\"", token.text);
            return Err(d.fault(Kind::Value, message));
        }
        names.push(name);
    }
    Ok(names)
}
