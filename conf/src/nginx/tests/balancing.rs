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

#[test]
fn budgets_ejections_and_matches_are_read() {
    let it = upstream("");
    assert_eq!((it.retry_budget.percent, it.retry_budget.floor), (20, 10));
    assert_eq!(it.ejection, None);
    let it = upstream("weir_retry_budget 5% min=2; weir_outlier_ejection time=1s share=10%;");
    assert_eq!((it.retry_budget.percent, it.retry_budget.floor), (5, 2));
    let ejection = it.ejection.unwrap();
    assert_eq!((ejection.consecutive, ejection.time_ms), (5, 1000));
    assert_eq!((ejection.share_percent, ejection.panic_percent), (10, 50));
    for (inner, wanted) in [
        ("weir_retry_budget 101%;", "invalid parameter \"101%\""),
        ("weir_retry_budget 20;", "invalid parameter \"20\""),
        (
            "weir_retry_budget 20% max=1;",
            "invalid parameter \"max=1\"",
        ),
        (
            "weir_outlier_ejection time=0;",
            "invalid parameter \"time=0\"",
        ),
        ("weir_outlier_ejection x=1;", "invalid parameter \"x=1\""),
        (
            "server a.test resolve;",
            "no resolver defined to resolve names at run time",
        ),
    ] {
        let text = message(http(&format!("upstream u {{ {inner} server 127.0.0.1; }}")));
        assert!(text.contains(wanted), "{inner}: {text}");
    }
    let checked = |block: &str, check: &str| {
        http(&format!(
            "{block} upstream u {{ server 127.0.0.1; }} server {{ location / {{
               proxy_pass http://u; health_check {check}; }} }}"
        ))
    };
    let block = "match fit { status ! 500-599 404; header X = 1; header ! Y; body !~ no; }";
    let config = checked(block, "mandatory persistent jitter=1s match=fit").unwrap();
    let check = config.http.unwrap().upstreams[0]
        .health_check
        .clone()
        .unwrap();
    assert!(check.mandatory && check.persistent && check.jitter_ms == 1000);
    let fit = check.matching.unwrap();
    let status = fit.status.as_ref().unwrap();
    assert_eq!(
        (status.not, status.ranges.as_slice()),
        (true, &[(500, 599), (404, 404)][..])
    );
    assert_eq!(fit.headers.len(), 2);
    assert!(fit.body.as_ref().is_some_and(|it| it.not));
    for (block, check, wanted) in [
        ("", "match=fit", "match \"fit\" is not found"),
        ("match a {} match a {}", "", "duplicate match \"a\""),
        ("match a { status 5-4; }", "", "invalid parameter \"5-4\""),
        ("match a { body ~ (; }", "", "pcre2_compile() failed"),
        ("match a { thing 1; }", "", "unknown directive \"thing\""),
    ] {
        let text = message(checked(block, check));
        assert!(text.contains(wanted), "{block}: {text}");
    }
}

#[test]
fn resolvers_are_read() {
    let config = http(
        "resolver 127.0.0.1:5353 [::1] localhost valid=5s ipv6=off; resolver_timeout 2s;
         upstream u { server a.test:81 resolve; server 127.0.0.1; }",
    );
    let upstream = config.unwrap().http.unwrap().upstreams.remove(0);
    let resolver = upstream.resolver.unwrap();
    let servers: Vec<_> = resolver.servers.iter().map(ToString::to_string).collect();
    assert_eq!(servers, ["127.0.0.1:5353", "[::1]:53", "127.0.0.1:53"]);
    assert_eq!((resolver.valid_ms, resolver.timeout_ms), (Some(5000), 2000));
    assert_eq!((resolver.ipv4, resolver.ipv6), (true, false));
    assert_eq!(upstream.servers[0].resolve, Some(("a.test".to_owned(), 81)));
    assert!(upstream.servers[0].addrs.is_empty());
    for (bad, wanted) in [
        ("resolver valid=5s;", "no name servers defined"),
        (
            "resolver 127.0.0.1:x;",
            "invalid port in resolver \"127.0.0.1:x\"",
        ),
        (
            "resolver nowhere.test;",
            "host not found in resolver \"nowhere.test\"",
        ),
        (
            "resolver 127.0.0.1 ipv4=off ipv6=off;",
            "cannot both be \"off\"",
        ),
    ] {
        let text = message(http(bad));
        assert!(text.contains(wanted), "{bad}: {text}");
    }
}
