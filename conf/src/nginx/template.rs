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
    /// Plain text.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self {
            parts: vec![Part::Text(text.to_owned())],
        }
    }

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
    /// `$upstream_connect_time`: seconds with milliseconds, for each try.
    UpstreamConnectTime,
    /// `$upstream_header_time`
    UpstreamHeaderTime,
    /// `$upstream_response_time`
    UpstreamResponseTime,
    /// `$status` of the answer.
    Status,
    /// `$pid`
    Pid,
    /// `$1` to `$9`: what a group of the last regular expression that matched took in.
    Capture(u8),
    /// `$sent_http_NAME`: a header of the answer.
    SentHttp(String),
    /// `$upstream_http_NAME`: a header of the upstream's answer.
    UpstreamHttp(String),
    /// `$upstream_cookie_NAME`: a cookie the upstream's answer sets.
    UpstreamCookie(String),
    /// `$binary_remote_addr`
    BinaryRemoteAddr,
    /// `$remote_user`
    RemoteUser,
    /// `$body_bytes_sent`
    BodyBytesSent,
    /// `$bytes_sent`: the header's too.
    BytesSent,
    /// `$connection_requests`
    ConnectionRequests,
    /// `$connection_time`, in seconds with milliseconds.
    ConnectionTime,
    /// `$document_root`
    DocumentRoot,
    /// `$realpath_root`
    RealpathRoot,
    /// `$request_filename`
    RequestFilename,
    /// `$hostname`
    Hostname,
    /// `$https`: `on` or empty.
    Https,
    /// `$limit_rate`, in bytes a second.
    LimitRate,
    /// `$msec`: the time in seconds with milliseconds.
    Msec,
    /// `$nginx_version`
    NginxVersion,
    /// `$pipe`: `p` for a request that came with the one before, else `.`.
    Pipe,
    /// `$request_completion`: `OK` or empty.
    RequestCompletion,
    /// `$request_id`: 32 hexadecimal digits.
    RequestId,
    /// `$request_length`: bytes of the request.
    RequestLength,
    /// `$request_time`, in seconds with milliseconds.
    RequestTime,
    /// `$time_iso8601`
    TimeIso8601,
    /// `$time_local`
    TimeLocal,
    /// Variables that are empty here, as for a request that has nothing of the kind.
    Empty,
    /// `$ssl_…`
    Ssl(SslVar),
    /// What only `stream` has, and what a PROXY header told.
    Stream(StreamVar),
    /// A variable that the file makes, by its place in [`super::model::Http::variables`] or in
    /// [`super::model::Stream::variables`].
    User(usize),
}

/// The names of the variables that a file makes, by place.
#[derive(Debug, Clone, Default)]
pub struct Names(Vec<String>);

impl Names {
    /// The place of a name, made if it has none yet.
    pub(super) fn add(&mut self, name: &str) -> usize {
        let name = name.to_ascii_lowercase();
        self.find(&name).unwrap_or_else(|| {
            self.0.push(name);
            self.0.len() - 1
        })
    }

    /// The place of a name, lower case.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|other| other == name)
    }

    /// All names, in order.
    #[must_use]
    pub fn all(&self) -> &[String] {
        &self.0
    }
}

/// Whether a name is a variable of nginx's own that a file must not make.
pub(super) fn is_own(name: &str) -> bool {
    let prefixed = || name.strip_prefix("ssl_").and_then(SslVar::by_name);
    !matches!(name, "args" | "limit_rate") && (builtin(name).is_some() || prefixed().is_some())
}

/// Reads a value; `names` are the variables that the file makes, wherever they stand in it.
pub(super) fn parse(text: &str, names: &Names) -> Result<Template, String> {
    let template = parse_any(text, names)?;
    let other = |part: &Part| matches!(part, Part::Var(Var::Stream(var)) if !var.is_in_http());
    if template.parts.iter().any(other) {
        return Err(format!("unknown variable in \"{text}\""));
    }
    Ok(template)
}

fn parse_any(text: &str, names: &Names) -> Result<Template, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (plain, after) = rest.split_at(at);
        if !plain.is_empty() {
            parts.push(Part::Text(plain.to_owned()));
        }
        let after = after.get(1..).unwrap_or_default();
        if let Some(digit @ b'1'..=b'9') = after.as_bytes().first() {
            parts.push(Part::Var(Var::Capture(digit - b'0')));
            rest = after.get(1..).unwrap_or_default();
            continue;
        }
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
        parts.push(Part::Var(variable(name, names)?));
        rest = tail;
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    Ok(Template { parts })
}

/// Reads a value of the `stream` block, which has variables of its own and not those of requests.
pub(super) fn parse_stream(text: &str, names: &Names) -> Result<Template, String> {
    let template = parse_any(text, names)?;
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
            | Var::User(_)
            | Var::Capture(_)
    )
}

fn leading_name(text: &str) -> &str {
    let length = text
        .bytes()
        .take_while(|b| b.is_ascii_alphanumeric() || *b == b'_')
        .count();
    text.get(..length).unwrap_or_default()
}

fn variable(name: &str, names: &Names) -> Result<Var, String> {
    let lower = name.to_ascii_lowercase();
    if let Some(place) = names.find(&lower) {
        return Ok(Var::User(place));
    }
    match builtin(&lower) {
        Some(var) => Ok(var),
        None => prefixed(&lower, name),
    }
}

fn builtin(lower: &str) -> Option<Var> {
    Some(match lower {
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
        "upstream_connect_time" => Var::UpstreamConnectTime,
        "upstream_header_time" => Var::UpstreamHeaderTime,
        "upstream_response_time" => Var::UpstreamResponseTime,
        "status" => Var::Status,
        "pid" => Var::Pid,
        "binary_remote_addr" => Var::BinaryRemoteAddr,
        "remote_user" => Var::RemoteUser,
        "body_bytes_sent" => Var::BodyBytesSent,
        "bytes_sent" => Var::BytesSent,
        "connection_requests" => Var::ConnectionRequests,
        "connection_time" => Var::ConnectionTime,
        "document_root" => Var::DocumentRoot,
        "realpath_root" => Var::RealpathRoot,
        "request_filename" => Var::RequestFilename,
        "hostname" => Var::Hostname,
        "https" => Var::Https,
        "limit_rate" => Var::LimitRate,
        "msec" => Var::Msec,
        "nginx_version" => Var::NginxVersion,
        "pipe" => Var::Pipe,
        "request_completion" => Var::RequestCompletion,
        "request_id" => Var::RequestId,
        "request_length" => Var::RequestLength,
        "request_time" => Var::RequestTime,
        "time_iso8601" => Var::TimeIso8601,
        "time_local" => Var::TimeLocal,
        "http2" | "http3" | "request_body_file" | "fastcgi_script_name" => Var::Empty,
        _ => return None,
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
    let header = |prefix: &str| {
        let rest = lower.strip_prefix(prefix).filter(|rest| !rest.is_empty())?;
        Some(rest.replace('_', "-"))
    };
    if let Some(header) = header("sent_http_") {
        return Ok(Var::SentHttp(header));
    }
    if let Some(header) = header("upstream_http_") {
        return Ok(Var::UpstreamHttp(header));
    }
    if let Some(cookie) = lower.strip_prefix("upstream_cookie_") {
        return Ok(Var::UpstreamCookie(cookie.to_owned()));
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
        || ["ssl_", "jwt_", "sent_trailer_", "upstream_trailer_"]
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
realip_remote_addr realip_remote_port request_body server_addr_port slice_range tcpinfo_rtt tcpinfo_rttvar \
tcpinfo_snd_cwnd tcpinfo_rcv_space upstream_bytes_received upstream_bytes_sent \
upstream_cache_status upstream_response_length geoip_country_code invalid_referer secure_link secure_link_expires \
uid_got uid_set";
