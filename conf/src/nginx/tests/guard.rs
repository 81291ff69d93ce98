//! What holds for a client before it is served.

use super::{http, message, server};
use crate::nginx::model::guard::{Guard, ToldBy};

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
