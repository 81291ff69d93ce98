//! What a configuration means: inheritance, defaults, values, references.

use super::{http, load, server};
use crate::nginx::model::proxy::Pattern;
use crate::nginx::model::stream::StreamAction;
use crate::nginx::model::{Action, Config, Location, Match, Method, Proxy};
use crate::nginx::template::{Part, Template, Var};

fn location(config: &Config, path: &str) -> Location {
    let servers = &config.http.as_ref().unwrap().servers;
    let mut all = servers.iter().flat_map(|server| &server.locations);
    all.find(|location| location.path == path).unwrap().clone()
}

fn proxy(config: &Config, path: &str) -> Proxy {
    match location(config, path).action {
        Action::Proxy(proxy) => *proxy,
        _ => panic!("not a proxy"),
    }
}

fn texts(pairs: &[(Pattern, Template)]) -> Vec<(String, String)> {
    let text = |template: &Template| template.as_text().unwrap().to_owned();
    let from = |pattern: &Pattern| match pattern {
        Pattern::Text(template) => text(template),
        Pattern::Regex(regex) => format!("{regex:?}"),
    };
    pairs.iter().map(|(a, b)| (from(a), text(b))).collect()
}

#[test]
fn defaults_are_nginxs() {
    let config = server("location / { proxy_pass http://127.0.0.1:81; }").unwrap();
    let common = location(&config, "/").common;
    assert_eq!(common.client_max_body_bytes, 1 << 20);
    assert_eq!(common.keepalive_timeout_ms, 75_000);
    assert_eq!(common.keepalive_requests, 1000);
    assert!(common.access_log);
    let proxy = proxy(&config, "/");
    assert_eq!(
        (proxy.connect_timeout_ms, proxy.read_timeout_ms),
        (60_000, 60_000)
    );
    assert!(proxy.next.error && proxy.next.timeout && !proxy.next.non_idempotent);
    assert_eq!(proxy.set_headers.len(), 1);
    assert_eq!(proxy.set_headers[0].1.parts, [Part::Var(Var::ProxyHost)]);
    assert_eq!((proxy.host.as_str(), proxy.port), ("127.0.0.1:81", 81));
    let http = config.http.unwrap();
    assert_eq!(http.servers[0].client_header_timeout_ms, 60_000);
    let upstream = &http.upstreams[0];
    assert_eq!(
        (upstream.keepalive, upstream.method.clone()),
        (32, Method::RoundRobin)
    );
    let peer = &upstream.servers[0];
    assert_eq!(
        (peer.weight, peer.max_fails, peer.fail_timeout_ms),
        (1, 1, 10_000)
    );
}

#[test]
fn inner_values_hide_outer_ones_and_lists_go_whole() {
    let config = http(
        "client_max_body_size 1k; proxy_read_timeout 1s; proxy_set_header A 1;
         proxy_set_header B 2; add_header X 1;
         server { listen 81; client_max_body_size 2k;
           location /plain { proxy_pass http://127.0.0.1; }
           location /own { proxy_pass http://127.0.0.1; client_max_body_size 0;
             proxy_read_timeout 2m; proxy_set_header C 3; add_header Y 1 always; } }",
    )
    .unwrap();
    let plain = location(&config, "/plain");
    assert_eq!(plain.common.client_max_body_bytes, 2048);
    assert_eq!(plain.common.add_headers[0].name, "X");
    let proxy_plain = proxy(&config, "/plain");
    assert_eq!(proxy_plain.read_timeout_ms, 1000);
    let names = |proxy: &Proxy| -> Vec<String> {
        proxy
            .set_headers
            .iter()
            .map(|(name, _)| name.clone())
            .collect()
    };
    assert_eq!(names(&proxy_plain), ["A", "B", "Host"]);
    let own = location(&config, "/own");
    assert_eq!(own.common.client_max_body_bytes, 0);
    assert_eq!(own.common.add_headers.len(), 1);
    assert!(own.common.add_headers[0].always);
    let proxy_own = proxy(&config, "/own");
    assert_eq!(proxy_own.read_timeout_ms, 120_000);
    assert_eq!(names(&proxy_own), ["C", "Host"]);
}

#[test]
fn times_and_sizes() {
    let time = |text: &str| crate::nginx::value::time_ms(text);
    assert_eq!(time("5"), Some(5000));
    assert_eq!(time("7d"), Some(7 * 86_400_000));
    assert_eq!(time("3560d"), Some(3560 * 86_400_000));
    assert_eq!(time("1h30m"), Some(5_400_000));
    assert_eq!(time("1m 500ms"), Some(60_500));
    assert_eq!(time("1h 5"), Some(3_605_000));
    for bad in [
        "",
        "s",
        "1s1m",
        "1q",
        "5 5",
        "1s1s",
        "99999999999999999999",
        "9999y",
        "-1",
        "1.5s",
    ] {
        assert_eq!(time(bad), None, "{bad:?}");
    }
    let size = |text: &str| crate::nginx::value::size_bytes(text);
    assert_eq!(size("1048576"), Some(1 << 20));
    assert_eq!(size("40960m"), Some(40_960 << 20));
    assert_eq!(size("2G"), Some(2 << 30));
    for bad in [
        "",
        "k",
        "1kb",
        "-1",
        "1 k",
        "99999999999999999999g",
        "99999999999g",
    ] {
        assert_eq!(size(bad), None, "{bad:?}");
    }
}

#[test]
fn proxy_pass_forms() {
    let config = server(
        "location /a/ { proxy_pass http://127.0.0.1:81/b/; }
         location = /b { proxy_pass http://localhost; }
         location ^~ /c { proxy_pass http://unix:/tmp/s.sock:/x; proxy_redirect off; }
         location /d { proxy_pass http://two.test:82; }",
    )
    .unwrap();
    let a = proxy(&config, "/a/");
    assert_eq!(a.uri.as_deref(), Some("/b/"));
    assert_eq!(
        texts(&a.redirects),
        [("http://127.0.0.1:81/b/".to_owned(), "/a/".to_owned())]
    );
    assert_eq!(location(&config, "/b").matching, Match::Exact);
    let b = proxy(&config, "/b");
    assert_eq!((b.uri, b.host.as_str(), b.port), (None, "localhost", 80));
    assert_eq!(
        texts(&b.redirects),
        [("http://localhost/".to_owned(), "/".to_owned())]
    );
    assert_eq!(location(&config, "/c").matching, Match::PrefixFinal);
    let c = proxy(&config, "/c");
    assert_eq!(c.uri.as_deref(), Some("/x"));
    assert!(c.redirects.is_empty());
    let upstreams = config.http.unwrap().upstreams;
    assert_eq!(
        upstreams[c.upstream.unwrap()].servers[0].addrs[0].to_string(),
        "unix:/tmp/s.sock"
    );
    assert_eq!(upstreams[3].servers[0].addrs.len(), 2);
}

#[test]
fn upstreams_and_their_parameters() {
    let config = http(
        "server { listen 81; location / { proxy_pass http://late; health_check interval=2s
            fails=3 passes=2 uri=/ok port=99; } }
         upstream late { least_conn; zone z 64k; keepalive 7; keepalive_timeout 5s;
            server 127.0.0.1:1 weight=3 max_fails=0 fail_timeout=3s max_conns=9;
            server 127.0.0.1 backup; server [::1]:2 down; }",
    )
    .unwrap();
    let http = config.http.as_ref().unwrap();
    let upstream = &http.upstreams[0];
    assert_eq!(
        (upstream.method.clone(), upstream.keepalive),
        (Method::LeastConn, 7)
    );
    assert_eq!(upstream.keepalive_timeout_ms, 5000);
    let first = &upstream.servers[0];
    assert_eq!((first.weight, first.max_fails), (3, 0));
    assert_eq!((first.fail_timeout_ms, first.max_conns), (3000, 9));
    assert!(upstream.servers[1].backup && upstream.servers[2].down);
    assert_eq!(upstream.servers[1].addrs[0].to_string(), "127.0.0.1:80");
    assert_eq!(upstream.servers[2].addrs[0].to_string(), "[::1]:2");
    let check = upstream.health_check.as_ref().unwrap();
    assert_eq!((check.interval_ms, check.fails, check.passes), (2000, 3, 2));
    assert_eq!((check.uri.as_deref(), check.port), (Some("/ok"), Some(99)));
    assert_eq!(config.noops()[0].what, "zone");
}

#[test]
fn listens_and_names() {
    let config = http(
        "server { listen 81; listen [::]:81 ipv6only=off; listen *:82 default_server backlog=9
            reuseport; listen unix:/tmp/x; listen localhost; server_name A.b *.c .d e.* _ \"\"; }
         server { server_name other; }",
    )
    .unwrap();
    let servers = &config.http.as_ref().unwrap().servers;
    let listens = &servers[0].listens;
    let addrs: Vec<String> = listens
        .iter()
        .map(|listen| listen.addr.to_string())
        .collect();
    assert_eq!(
        addrs,
        [
            "0.0.0.0:81",
            "[::]:81",
            "0.0.0.0:82",
            "unix:/tmp/x",
            "127.0.0.1:80"
        ]
    );
    assert!(!listens[1].ipv6only && listens[0].ipv6only);
    assert!(listens[2].default_server && listens[2].backlog == Some(9));
    assert_eq!(servers[0].names, ["a.b", "*.c", ".d", "e.*", "_", ""]);
    assert_eq!(servers[1].listens[0].addr.to_string(), "0.0.0.0:80");
    assert_eq!(
        config.noops()[0].what,
        "the \"reuseport\" parameter of listen"
    );
}

#[test]
fn streams() {
    let config = load(
        "events {} stream { proxy_timeout 1m; upstream o { least_conn; server 127.0.0.1:1; }
         server { listen 1935; proxy_pass o; proxy_protocol on; health_check; }
         server { listen unix:/tmp/y; proxy_pass localhost:9; proxy_timeout 2s;
           proxy_connect_timeout 500ms; proxy_next_upstream off; proxy_half_close on;
           proxy_buffer_size 4k; } }",
    )
    .unwrap();
    let stream = config.stream.unwrap();
    let [first, second] = stream.servers.as_slice() else {
        panic!("two servers")
    };
    assert_eq!(
        (first.idle_timeout_ms, first.connect_timeout_ms),
        (60_000, 60_000)
    );
    assert!(first.proxy_protocol && first.next && !first.half_close);
    assert_eq!(
        (second.idle_timeout_ms, second.connect_timeout_ms),
        (2000, 500)
    );
    assert!(!second.proxy_protocol && !second.next && second.half_close);
    assert_eq!(second.buffer_bytes, 4096);
    assert_eq!(second.action, StreamAction::Proxy(1));
    assert!(
        stream.upstreams[0]
            .health_check
            .as_ref()
            .unwrap()
            .uri
            .is_none()
    );
}

#[test]
fn what_has_no_effect_is_listed_in_order() {
    let config = load(
        "user nobody;\nworker_processes 3;\ndaemon off;\npid /x;\nevents { use epoll;
         worker_connections 7; }\nhttp { types { a b; } sendfile on; access_log /x combined;
         server { listen 81; access_log off; location / { return 204; } } }",
    )
    .unwrap();
    let names: Vec<&str> = config
        .noops()
        .iter()
        .map(|no_op| no_op.what.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "user",
            "daemon",
            "pid",
            "use",
            "sendfile",
            "the file /x of access_log"
        ]
    );
    assert_eq!(
        (config.main.worker_processes, config.main.worker_connections),
        (Some(3), 7)
    );
    assert!(!location(&config, "/").common.access_log);
}

#[test]
fn a_name_twice_on_an_address_is_a_warning() {
    let config = http("server { listen 81; } server { listen 81; }").unwrap();
    assert_eq!(
        config.warnings,
        ["[warn] conflicting server name \"\" on 0.0.0.0:81, ignored"]
    );
}
