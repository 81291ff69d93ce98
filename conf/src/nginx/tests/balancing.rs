//! What an `upstream` says of how it chooses, and what it is refused for.

use super::{http, message};
use crate::nginx::model::Until;
use crate::nginx::model::{Method, SameSite, Upstream};

fn upstream(inner: &str) -> Upstream {
    let config = http(&format!("upstream u {{ {inner} server 127.0.0.1; }}")).unwrap();
    config.http.unwrap().upstreams.remove(0)
}

#[test]
fn methods_are_told_apart() {
    assert_eq!(upstream("").method, Method::RoundRobin);
    assert_eq!(upstream("ip_hash;").method, Method::IpHash);
    for (text, wanted) in [
        ("hash $host$uri;", false),
        ("hash $host$uri consistent;", true),
    ] {
        let Method::Hash { key, consistent } = upstream(text).method else {
            panic!("{text} is a hash");
        };
        assert_eq!((key.parts.len(), consistent), (2, wanted));
    }
    for (text, two) in [("random;", false), ("random two;", true)] {
        assert_eq!(upstream(text).method, Method::Random { two });
    }
    assert_eq!(
        upstream("random two least_conn;").method,
        Method::Random { two: true }
    );
    for (text, until) in [("header", Until::FirstByte), ("last_byte", Until::LastByte)] {
        let method = upstream(&format!("least_time {text};")).method;
        assert_eq!(method, Method::LeastTime { until });
    }
    let config = http("upstream u { server 127.0.0.1; least_conn; random; }").unwrap();
    assert_eq!(
        config.http.unwrap().upstreams[0].method,
        Method::Random { two: false }
    );
    assert_eq!(
        config.warnings,
        ["load balancing method redefined in t.conf:3"]
    );
}

#[test]
fn sticky_cookies() {
    let sticky = upstream("sticky cookie srv expires=1h domain=.a.b path=/x secure;").sticky;
    let sticky = sticky.unwrap();
    assert_eq!(
        (sticky.cookie.as_str(), sticky.expires_s),
        ("srv", Some(3600))
    );
    assert_eq!(sticky.domain.unwrap().as_text(), Some(".a.b"));
    assert_eq!(sticky.path.unwrap().as_text(), Some("/x"));
    assert!(sticky.secure && !sticky.http_only);
    let lax = upstream("sticky cookie s samesite=lax httponly;")
        .sticky
        .unwrap();
    assert!(lax.http_only && lax.same_site == Some(SameSite::Lax));
}

#[test]
fn connections_kept_and_slow_starts() {
    let u = upstream("keepalive 3; keepalive_requests 9; keepalive_time 2m; keepalive_timeout 7;");
    assert_eq!((u.keepalive, u.keepalive_requests), (3, 9));
    assert_eq!(
        (u.keepalive_time_ms, u.keepalive_timeout_ms),
        (120_000, 7000)
    );
    let u = upstream("server 127.0.0.2 slow_start=30s;");
    assert_eq!(
        (u.servers[0].slow_start_ms, u.servers[1].slow_start_ms),
        (30_000, 0)
    );
    let plain = upstream("");
    assert_eq!(
        (plain.keepalive_requests, plain.keepalive_time_ms),
        (1000, 3_600_000)
    );
}

#[test]
fn what_cannot_be_is_refused() {
    for (inner, wanted) in [
        (
            "ip_hash; server 127.0.0.1 backup;",
            "balancing method does not support parameter \"backup\"",
        ),
        ("hash $nope; server 127.0.0.1;", "unknown \"nope\" variable"),
        ("hash a b; server 127.0.0.1;", "invalid parameter \"b\""),
        (
            "random three; server 127.0.0.1;",
            "invalid parameter \"three\"",
        ),
        (
            "random two most; server 127.0.0.1;",
            "invalid parameter \"most\"",
        ),
        (
            "least_time; server 127.0.0.1;",
            "invalid number of arguments in \"least_time\" directive",
        ),
        (
            "least_time footer; server 127.0.0.1;",
            "invalid parameter \"footer\"",
        ),
        (
            "least_time header inflight; server 127.0.0.1;",
            "the \"inflight\" parameter is not supported by weir yet",
        ),
        (
            "sticky learn create=$a; server 127.0.0.1;",
            "\"sticky learn\" is not supported by weir yet",
        ),
        (
            "sticky cookie a;b; server 127.0.0.1;",
            "unknown directive \"b\"",
        ),
        (
            "sticky cookie 'a b'; server 127.0.0.1;",
            "invalid cookie name \"a b\"",
        ),
        (
            "sticky cookie a expires=x; server 127.0.0.1;",
            "invalid parameter \"expires=x\"",
        ),
        (
            "keepalive_requests x; server 127.0.0.1;",
            "\"keepalive_requests\" directive invalid number",
        ),
        (
            "keepalive 1; keepalive 2; server 127.0.0.1;",
            "\"keepalive\" directive is duplicate",
        ),
        (
            "server 127.0.0.1 slow_start=x;",
            "invalid parameter \"slow_start=x\"",
        ),
        (
            "server 127.0.0.1 route=a;",
            "the \"route\" parameter of \"server\" is not supported by weir yet",
        ),
    ] {
        let text = message(http(&format!("upstream u {{ {inner} }}")));
        assert_eq!(text, format!("[emerg] {wanted} in t.conf:3"), "{inner}");
    }
}
