//! The variables: what each is called, and where it may be used.

use super::Names;
use crate::nginx::model::stream::StreamVar;
use crate::nginx::model::tls::SslVar;

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
    /// `$realip_remote_addr`: who is connected, whoever `$remote_addr` is.
    RealipRemoteAddr,
    /// `$realip_remote_port`
    RealipRemotePort,
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
    /// `$upstream_cache_status`
    UpstreamCacheStatus,
    /// `$upstream_cache_key`
    UpstreamCacheKey,
    /// `$upstream_cache_last_modified` of the answer to be asked about again.
    UpstreamCacheLastModified,
    /// `$upstream_cache_etag` of the answer to be asked about again.
    UpstreamCacheEtag,
    /// `$upstream_bytes_sent`, for each try.
    UpstreamBytesSent,
    /// `$upstream_bytes_received`: header and body, for each try.
    UpstreamBytesReceived,
    /// `$upstream_response_length`: the body, for each try.
    UpstreamResponseLength,
    /// `$request_body`, if it was read to memory.
    RequestBody,
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
    /// `$http2`: `h2` over TLS, `h2c` without, or empty.
    Http2,
    /// `$https`: `on` or empty.
    Https,
    /// `$limit_rate`, in bytes a second.
    LimitRate,
    /// `$limit_req_status`
    LimitReqStatus,
    /// `$limit_conn_status`
    LimitConnStatus,
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
    /// A variable that the file makes, by its place in [`crate::nginx::model::Http::variables`] or in
    /// [`crate::nginx::model::Stream::variables`].
    User(usize),
}

impl Var {
    /// Whether requests have it.
    pub(super) fn is_in_http(&self) -> bool {
        !matches!(self, Self::Stream(var) if !var.is_in_http())
    }

    /// Whether sessions of `stream` have it.
    pub(super) fn is_in_stream(&self) -> bool {
        matches!(
            self,
            Self::RemoteAddr
                | Self::RemotePort
                | Self::ServerAddr
                | Self::ServerPort
                | Self::ServerName
                | Self::BinaryRemoteAddr
                | Self::Connection
                | Self::Status
                | Self::BytesSent
                | Self::UpstreamAddr
                | Self::UpstreamConnectTime
                | Self::UpstreamBytesSent
                | Self::UpstreamBytesReceived
                | Self::RealipRemoteAddr
                | Self::RealipRemotePort
                | Self::Hostname
                | Self::NginxVersion
                | Self::Msec
                | Self::TimeLocal
                | Self::TimeIso8601
                | Self::Pid
                | Self::Ssl(_)
                | Self::Stream(_)
                | Self::User(_)
                | Self::Capture(_)
        )
    }
}

/// Whether a name is a variable of nginx's own that a file must not make.
pub(in crate::nginx) fn is_own(name: &str) -> bool {
    !matches!(name, "args" | "limit_rate") && own(name).is_some_and(|var| var.is_in_http())
}

/// [`is_own`] in the `stream` block.
pub(in crate::nginx) fn is_own_of_stream(name: &str) -> bool {
    own(name).is_some_and(|var| var.is_in_stream())
}

fn own(name: &str) -> Option<Var> {
    let ssl = || name.strip_prefix("ssl_").and_then(SslVar::by_name);
    builtin(name)
        .or_else(|| StreamVar::by_name(name).map(Var::Stream))
        .or_else(|| ssl().map(Var::Ssl))
}

/// The variable of a name.
pub(super) fn variable(name: &str, names: &Names) -> Result<Var, String> {
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
        "realip_remote_addr" => Var::RealipRemoteAddr,
        "realip_remote_port" => Var::RealipRemotePort,
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
        "upstream_cache_status" => Var::UpstreamCacheStatus,
        "upstream_cache_key" => Var::UpstreamCacheKey,
        "upstream_cache_last_modified" => Var::UpstreamCacheLastModified,
        "upstream_cache_etag" => Var::UpstreamCacheEtag,
        "upstream_bytes_sent" => Var::UpstreamBytesSent,
        "upstream_bytes_received" => Var::UpstreamBytesReceived,
        "upstream_response_length" => Var::UpstreamResponseLength,
        "request_body" => Var::RequestBody,
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
        "limit_req_status" => Var::LimitReqStatus,
        "limit_conn_status" => Var::LimitConnStatus,
        "msec" => Var::Msec,
        "nginx_version" => Var::NginxVersion,
        "pipe" => Var::Pipe,
        "request_completion" => Var::RequestCompletion,
        "request_id" => Var::RequestId,
        "request_length" => Var::RequestLength,
        "request_time" => Var::RequestTime,
        "time_iso8601" => Var::TimeIso8601,
        "time_local" => Var::TimeLocal,
        "http2" => Var::Http2,
        "http3" | "request_body_file" | "fastcgi_script_name" => Var::Empty,
        _ => return None,
    })
}

fn prefixed(lower: &str, name: &str) -> Result<Var, String> {
    // Of nobody: nginx takes these too.
    if matches!(
        lower,
        "arg_" | "http_" | "cookie_" | "sent_http_" | "upstream_http_"
    ) {
        return Ok(Var::Empty);
    }
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
server_addr_port slice_range tcpinfo_rtt tcpinfo_rttvar \
tcpinfo_snd_cwnd tcpinfo_rcv_space geoip_country_code invalid_referer secure_link secure_link_expires \
uid_got uid_set";
