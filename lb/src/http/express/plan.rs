//! Which locations a plain request may take the short way to: decided while loading.
//!
//! Every field of the model is named here, so that a new one does not compile until somebody has
//! said whether the short way can do it. Whoever adds one and is not sure writes that it cannot:
//! the long way can do everything.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use weir_conf::nginx::log::LogPart;
use weir_conf::nginx::model::guard::Guard;
use weir_conf::nginx::model::proxy::{Passing, Pattern, Proxy, Rate};
use weir_conf::nginx::model::variable::Variable;
use weir_conf::nginx::model::web::Web;
use weir_conf::nginx::model::{Action, Common, Http, Location, Method, Server};
use weir_conf::nginx::template::Template;

use super::known::supports;
use crate::group::Group;

/// What a location's short way needs beside the location.
#[derive(Debug)]
pub(crate) struct Express {
    pub(super) group: Arc<Group>,
    /// An upstream has answered with what only the long way can follow: it is taken from then on,
    /// so that no more requests are sent twice.
    pub(super) closed: AtomicBool,
}

/// The short way to a location, if it has one.
pub(crate) fn plan(
    server: &Server,
    location: &Location,
    http: &Http,
    groups: &[Arc<Group>],
) -> Option<Express> {
    let Action::Proxy(proxy) = &location.action else {
        return None;
    };
    let group = proxy.upstream.and_then(|place| groups.get(place))?;
    let plain_group = group.sticky.is_none()
        && !group.prefers_owner()
        && !matches!(group.method, Method::Hash { .. });
    let plain = server.script.is_empty()
        && location.script.is_empty()
        && !location.internal
        && plain_group
        && is_plain_proxy(proxy, &http.variables)
        && is_plain(&location.common, http);
    plain.then(|| Express {
        group: Arc::clone(group),
        closed: AtomicBool::new(false),
    })
}

fn is_plain(common: &Common, http: &Http) -> bool {
    let Common {
        client_max_body_bytes: _,
        client_body_timeout_ms: _,
        send_timeout_ms: _,
        keepalive_timeout_ms: _,
        keepalive_requests: _,
        add_headers,
        default_type: _,
        access_log: _,
        web,
        access_logs,
        guard,
        gzip,
        body_temp_path: _,
    } = common;
    let known = |template: &Template| supports(template, &http.variables);
    let headers = add_headers.iter().all(|it| {
        // These take the place of the upstream's.
        let single = ["expires", "last-modified", "etag"];
        known(&it.value) && !single.iter().any(|name| it.name.eq_ignore_ascii_case(name))
    });
    let logs = access_logs.iter().all(|log| {
        let format = http.logs.formats.get(log.format);
        let mut parts = format.iter().flat_map(|format| &format.parts);
        log.condition.is_none()
            && parts.all(|part| match part {
                LogPart::Value(template) => known(template),
                _ => true,
            })
    });
    let as_it_is = !gzip.on && !gzip.gunzip;
    headers && logs && as_it_is && is_plain_web(web) && is_plain_guard(guard)
}

fn is_plain_web(web: &Web) -> bool {
    let Web {
        root: _,
        index: _,
        try_files,
        types: _,
        etag: _,
        modified: _,
        max_ranges: _,
        expires,
        // Followed where an error is made: on the long way.
        error_pages: _,
        recursive_error_pages: _,
        intercept_errors,
        access,
        satisfy_any: _,
        auth,
        absolute_redirect: _,
        port_in_redirect: _,
        server_name_in_redirect: _,
    } = web;
    try_files.is_none()
        && expires.is_none()
        && !intercept_errors
        && access.is_empty()
        && auth.is_none()
}

fn is_plain_guard(guard: &Guard) -> bool {
    let Guard {
        real_ip,
        requests,
        connections,
        auth_request,
        auth_sets: _,
        auth_delay_ms: _,
        rate,
        rate_after: _,
        keepalive_time_ms: _,
        keepalive_disable,
        keepalive_header_s: _,
    } = guard;
    real_ip.is_none()
        && requests.all.is_empty()
        && connections.all.is_empty()
        && auth_request.is_none()
        && rate.is_none()
        // Of a GET only this one asks who the browser is.
        && !keepalive_disable.safari
}

fn is_plain_proxy(proxy: &Proxy, variables: &[Variable]) -> bool {
    let Proxy {
        upstream: _,
        url,
        uri: _,
        tls,
        host: _,
        port: _,
        set_headers,
        hide_headers: _,
        redirects,
        passing,
        cache,
        // Only of URLs with variables.
        resolver: _,
        connect_timeout_ms: _,
        send_timeout_ms: _,
        read_timeout_ms: _,
        next: _,
        next_tries: _,
        next_timeout_ms: _,
    } = proxy;
    let Passing {
        method,
        http_1_0,
        headers,
        body: _,
        set_body,
        limit_rate,
        bind,
        socket_keepalive: _,
        // Only of headers that close the short way.
        ignore_headers: _,
        cookie_domains,
        cookie_paths,
        cookie_flags,
        // There is no body.
        request_buffering: _,
    } = passing;
    let known = |template: &Template| supports(template, variables);
    let redirects = redirects.iter().all(|(from, to)| match from {
        Pattern::Text(from) => known(from) && known(to),
        Pattern::Regex(_) => false,
    });
    let cookies = cookie_domains.is_empty() && cookie_paths.is_empty() && cookie_flags.is_empty();
    url.is_none()
        && cache.is_none()
        && tls.is_none()
        && set_headers.iter().all(|(_, value)| known(value))
        && redirects
        && cookies
        && method.is_none()
        && !http_1_0
        && *headers
        && set_body.is_none()
        && *limit_rate == Rate::Fixed(0)
        && bind.is_none()
}
