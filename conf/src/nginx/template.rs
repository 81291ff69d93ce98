//! Values with variables: `$host`, `${http_upgrade}-x`.
//!
//! Why parsed at load: an unknown variable is a fault of the file, and a request then only walks
//! a list. nginx has no way to write a plain `$`, so neither has this.
//!
//! Failures: nginx's texts, worded without place; the caller adds it.

use super::model::stream::StreamVar;
use super::model::tls::SslVar;

/// A piece of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Text as it stands.
    Text(String),
    /// A variable, looked up for each request.
    Var(Var),
}

/// A value: its parts one after another.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Template {
    /// The parts in order.
    pub parts: Vec<Part>,
}

impl Template {
    /// The text, if there is no variable in it.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }
}

/// The variables this version knows; nginx's documentation of each holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Var {
    /// `$host`: host of the request line, else the `Host` header, else the server's name.
    Host,
    /// `$http_NAME`: a request header; the name is kept lower case with `-` for `_`.
    Http(String),
    /// `$arg_NAME`: an argument of the query.
    Arg(String),
    /// `$cookie_NAME`
    Cookie(String),
    /// `$args`, `$query_string`
    Args,
    /// `$is_args`: `?` if there are arguments.
    IsArgs,
    /// `$uri`, `$document_uri`: the normalised path.
    Uri,
    /// `$request_uri`: the path and arguments as sent.
    RequestUri,
    /// `$request_method`
    RequestMethod,
    /// `$request`: the request line.
    Request,
    /// `$scheme`
    Scheme,
    /// `$remote_addr`
    RemoteAddr,
    /// `$remote_port`
    RemotePort,
    /// `$server_addr`
    ServerAddr,
    /// `$server_port`
    ServerPort,
    /// `$server_name`
    ServerName,
    /// `$server_protocol`
    ServerProtocol,
    /// `$connection`: the connection's serial number.
    Connection,
    /// `$content_length`
    ContentLength,
    /// `$content_type`
    ContentType,
    /// `$proxy_host`
    ProxyHost,
    /// `$proxy_port`
    ProxyPort,
    /// `$proxy_add_x_forwarded_for`
    ProxyAddXForwardedFor,
    /// `$upstream_addr`: the servers tried, with commas.
    UpstreamAddr,
    /// `$upstream_status`: their answers, with commas.
    UpstreamStatus,
    /// `$status` of the answer.
    Status,
    /// `$pid`
    Pid,
    /// `$https`: `on` in a connection with TLS.
    Https,
    /// `$ssl_…`
    Ssl(SslVar),
    /// What only `stream` has.
    Stream(StreamVar),
    /// A `map` of the `http` block, by its place in the list.
    Map(usize),
}

/// Reads a value; `maps` are the names of the maps declared so far, in order.
pub(super) fn parse(text: &str, maps: &[&str]) -> Result<Template, String> {
    let template = parse_any(text, maps)?;
    let other = |part: &Part| matches!(part, Part::Var(Var::Stream(var)) if !var.is_in_http());
    if template.parts.iter().any(other) {
        return Err(format!("unknown variable in \"{text}\""));
    }
    Ok(template)
}

fn parse_any(text: &str, maps: &[&str]) -> Result<Template, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (plain, after) = rest.split_at(at);
        if !plain.is_empty() {
            parts.push(Part::Text(plain.to_owned()));
        }
        let after = after.get(1..).unwrap_or_default();
        let (name, tail) = match after.strip_prefix('{') {
            Some(inner) => {
                let name = leading_name(inner);
                let tail = inner
                    .get(name.len()..)
                    .unwrap_or_default()
                    .strip_prefix('}');
                let Some(tail) = tail else {
                    return Err(format!(
                        "the closing bracket in \"{name}\" variable is missing"
                    ));
                };
                (name, tail)
            }
            None => {
                let name = leading_name(after);
                (name, after.get(name.len()..).unwrap_or_default())
            }
        };
        if name.is_empty() {
            return Err("invalid variable name".to_owned());
        }
        parts.push(Part::Var(variable(name, maps)?));
        rest = tail;
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    Ok(Template { parts })
}

/// Reads a value of the `stream` block, which has variables of its own and not those of requests.
pub(super) fn parse_stream(text: &str, maps: &[&str]) -> Result<Template, String> {
    let template = parse_any(text, maps)?;
    for part in &template.parts {
        if let Part::Var(var) = part
            && !is_in_stream(var)
        {
            return Err(format!("unknown variable in \"{text}\""));
        }
    }
    Ok(template)
}

fn is_in_stream(var: &Var) -> bool {
    matches!(
        var,
        Var::RemoteAddr
            | Var::RemotePort
            | Var::ServerAddr
            | Var::ServerPort
            | Var::Pid
            | Var::Ssl(_)
            | Var::Stream(_)
            | Var::Map(_)
    )
}

fn leading_name(text: &str) -> &str {
    let length = text
        .bytes()
        .take_while(|b| b.is_ascii_alphanumeric() || *b == b'_')
        .count();
    text.get(..length).unwrap_or_default()
}

fn variable(name: &str, maps: &[&str]) -> Result<Var, String> {
    let lower = name.to_ascii_lowercase();
    if let Some(index) = maps.iter().rposition(|map| *map == lower) {
        return Ok(Var::Map(index));
    }
    Ok(match lower.as_str() {
        "host" => Var::Host,
        "args" | "query_string" => Var::Args,
        "is_args" => Var::IsArgs,
        "uri" | "document_uri" => Var::Uri,
        "request_uri" => Var::RequestUri,
        "request_method" => Var::RequestMethod,
        "request" => Var::Request,
        "scheme" => Var::Scheme,
        "remote_addr" => Var::RemoteAddr,
        "remote_port" => Var::RemotePort,
        "server_addr" => Var::ServerAddr,
        "server_port" => Var::ServerPort,
        "server_name" => Var::ServerName,
        "server_protocol" => Var::ServerProtocol,
        "connection" => Var::Connection,
        "content_length" => Var::ContentLength,
        "content_type" => Var::ContentType,
        "proxy_host" => Var::ProxyHost,
        "proxy_port" => Var::ProxyPort,
        "proxy_add_x_forwarded_for" => Var::ProxyAddXForwardedFor,
        "upstream_addr" => Var::UpstreamAddr,
        "upstream_status" => Var::UpstreamStatus,
        "status" => Var::Status,
        "pid" => Var::Pid,
        "https" => Var::Https,
        other => return prefixed(other, name),
    })
}

fn prefixed(lower: &str, name: &str) -> Result<Var, String> {
    if let Some(header) = lower.strip_prefix("http_").filter(|rest| !rest.is_empty()) {
        return Ok(Var::Http(header.replace('_', "-")));
    }
    if let Some(var) = StreamVar::by_name(lower) {
        return Ok(Var::Stream(var));
    }
    if let Some(var) = lower.strip_prefix("ssl_").and_then(SslVar::by_name) {
        return Ok(Var::Ssl(var));
    }
    if let Some(arg) = lower.strip_prefix("arg_").filter(|rest| !rest.is_empty()) {
        return Ok(Var::Arg(arg.to_owned()));
    }
    // Cookie names are matched without regard to case, as nginx does.
    if let Some(cookie) = lower
        .strip_prefix("cookie_")
        .filter(|rest| !rest.is_empty())
    {
        return Ok(Var::Cookie(cookie.to_owned()));
    }
    let known = UNSUPPORTED
        .split_ascii_whitespace()
        .any(|known| known == lower)
        || lower.bytes().all(|byte| byte.is_ascii_digit())
        || [
            "upstream_http_",
            "sent_http_",
            "ssl_",
            "upstream_cookie_",
            "jwt_",
        ]
        .iter()
        .any(|prefix| lower.starts_with(prefix));
    Err(if known {
        format!("variable \"{name}\" is not supported by weir yet")
    } else {
        format!("unknown \"{name}\" variable")
    })
}

/// Variables of nginx's that this version has not.
const UNSUPPORTED: &str = "\
binary_remote_addr body_bytes_sent bytes_sent connection_requests connection_time document_root \
hostname http2 http3 limit_rate msec nginx_version pipe realip_remote_addr realip_remote_port realpath_root remote_user \
request_body request_body_file request_completion request_filename request_id request_length \
request_time server_addr_port slice_range tcpinfo_rtt time_iso8601 time_local \
upstream_bytes_received upstream_bytes_sent upstream_cache_status upstream_connect_time \
upstream_header_time upstream_response_length upstream_response_time fastcgi_script_name \
geoip_country_code invalid_referer secure_link secure_link_expires uid_got uid_set";
