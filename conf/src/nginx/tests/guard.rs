//! What holds for a client before it is served.

use super::{http, message, server};
use crate::nginx::model::guard::{Guard, LimitReq, ToldBy};
use crate::nginx::process::LogLevel;

fn guards(inner: &str) -> Vec<Guard> {
    let config = http(inner).unwrap();
    let servers = config.http.unwrap().servers;
    let locations = servers.iter().flat_map(|server| &server.locations);
    locations
        .map(|location| location.common.guard.clone())
        .collect()
}

#[test]
fn proxies_are_believed_where_they_are_named() {
    let all = guards(
        "server { location /none { } }
         server { set_real_ip_from two.test; real_ip_header X-Forwarded-For;
           location /a { } location /b { set_real_ip_from unix:; real_ip_recursive on;
             real_ip_header proxy_protocol; } }",
    );
    assert!(all[0].real_ip.is_none());
    let (outer, inner) = (
        all[1].real_ip.as_ref().unwrap(),
        all[2].real_ip.as_ref().unwrap(),
    );
    // Every address of the name.
    assert!(outer.believes("192.0.2.2".parse().ok()) && !outer.believes(None));
    assert_eq!(outer.told_by, ToldBy::Header("x-forwarded-for".to_owned()));
    assert!(inner.believes(None) && !inner.believes("192.0.2.2".parse().ok()));
    assert!(inner.recursive && inner.told_by == ToldBy::ProxyProtocol);
    assert_eq!(
        message(server("\n\nset_real_ip_from nobody.test;")),
        "[emerg] host not found in set_real_ip_from \"nobody.test\" in t.conf:6"
    );
}

#[test]
fn limits_count_in_zones_of_the_block() {
    let all = guards(
        "server { limit_req zone=a burst=5 delay=2; limit_req_status 429; limit_conn_log_level info;
           location /a { } location /b { limit_req zone=b nodelay; limit_conn c 3; } }
         limit_req_zone $uri zone=a:1m rate=30r/m; limit_req_zone $uri zone=b:32k rate=1r/s;
         limit_conn_zone $uri zone=c:1m;",
    );
    let (a, b) = (&all[0].requests, &all[1].requests);
    let limit = |zone, burst_milli, delay_milli| LimitReq {
        zone,
        burst_milli,
        delay_milli,
    };
    assert_eq!((&a.all, a.status), (&vec![limit(0, 5000, Some(2000))], 429));
    assert_eq!((&b.all, b.status), (&vec![limit(1, 0, None)], 429));
    let c = &all[1].connections;
    assert_eq!(
        (c.all[0].max, c.status, c.log_level),
        (3, 503, LogLevel::Info)
    );
    assert!(all[0].connections.all.is_empty());
}

#[test]
fn limits_are_refused_in_nginxs_words() {
    for (text, wanted) in [
        (
            "limit_req_zone $uri zone=a:1k rate=1r/s;",
            "zone \"zone=a:1k\" is too small",
        ),
        (
            "limit_req_zone $uri zone=a rate=1r/s;",
            "invalid zone size \"zone=a\"",
        ),
        (
            "limit_req_zone $uri zone=a:1m rate=1r/h;",
            "invalid rate \"rate=1r/h\"",
        ),
        (
            "limit_req zone=none;",
            "zero size shared memory zone \"none\"",
        ),
        (
            "limit_req burst=1;",
            "\"limit_req\" must have \"zone\" parameter",
        ),
        (
            "limit_req zone=z burst=x;",
            "invalid burst value \"burst=x\"",
        ),
        (
            "limit_req zone=z; limit_req zone=z;",
            "\"limit_req\" directive is duplicate",
        ),
        ("limit_req_status 200;", "value must be between 400 and 599"),
        ("limit_req_log_level debug;", "invalid value \"debug\""),
        ("limit_conn c 0;", "invalid number of connections \"0\""),
        ("limit_conn c 65536;", "connection limit must be less 65536"),
        ("limit_rate x;", "\"limit_rate\" directive invalid value"),
    ] {
        let zones = "limit_req_zone $uri zone=z:1m rate=1r/s; limit_conn_zone $uri zone=c:1m;";
        let said = message(http(&format!("{zones} {text}")));
        assert!(said.contains(wanted), "{text}: {said}");
    }
}
