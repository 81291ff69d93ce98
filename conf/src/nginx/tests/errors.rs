//! Every refusal, in nginx's words and with nginx's line (an unknown variable has a line here,
//! which nginx does not give).

use super::{http, load, message, server};
use crate::nginx::Kind;

#[test]
fn grammar_faults_are_nginxs() {
    for (text, wanted) in [
        ("events {}\n}", "unexpected \"}\" in t.conf:2"),
        ("events {}\n;", "unexpected \";\" in t.conf:2"),
        ("events {}\n{", "unexpected \"{\" in t.conf:2"),
        ("events {}\nuser a }", "unexpected \"}\" in t.conf:2"),
        (
            "events {\n",
            "unexpected end of file, expecting \"}\" in t.conf:2",
        ),
        (
            "events {}\nuser a",
            "unexpected end of file, expecting \";\" or \"}\" in t.conf:2",
        ),
        (
            "events {}\nuser \"a",
            "unexpected end of file, expecting \";\" or \"}\" in t.conf:2",
        ),
        ("events {}\nuser \"a\"b;", "unexpected \"b\" in t.conf:2"),
        (
            "events {}\nuser a\n{ }",
            "directive \"user\" is not terminated by \";\" in t.conf:3",
        ),
        (
            "events;",
            "directive \"events\" has no opening \"{\" in t.conf:1",
        ),
        ("events {} x y;", "unknown directive \"x\" in t.conf:1"),
        (
            "events {} server {}",
            "\"server\" directive is not allowed here in t.conf:1",
        ),
        (
            "events {} user;",
            "invalid number of arguments in \"user\" directive in t.conf:1",
        ),
        (
            "events {} events {}",
            "\"events\" directive is duplicate in t.conf:1",
        ),
        (
            "events {}\ndaemon maybe;",
            "invalid value \"maybe\" in \"daemon\" directive, it must be \"on\" or \"off\" in \
             t.conf:2",
        ),
    ] {
        assert_eq!(message(load(text)), format!("[emerg] {wanted}"), "{text:?}");
    }
    assert_eq!(
        message(load("")),
        "[emerg] no \"events\" section in configuration"
    );
}

#[test]
fn words_that_do_not_end_name_where_they_start() {
    let long = "x".repeat(5000);
    let wanted = "[emerg] too long parameter \"xxxxxxxxxx...\" started in t.conf:2";
    assert_eq!(message(load(&format!("events {{}}\n{long};"))), wanted);
    let wanted = "[emerg] too long parameter, probably missing terminating \"\"\" character in \
                  t.conf:2";
    assert_eq!(
        message(load(&format!("events {{}}\nuser \"\n{long};"))),
        wanted
    );
}

#[test]
fn values_are_checked_where_they_stand() {
    for (inner, wanted) in [
        (
            "listen 0;",
            "invalid port in \"0\" of the \"listen\" directive",
        ),
        (
            "listen 70000;",
            "invalid port in \"70000\" of the \"listen\" directive",
        ),
        (
            "listen 127.0.0.1:x;",
            "invalid port in \"127.0.0.1:x\" of the \"listen\" directive",
        ),
        (
            "listen nowhere.test:80;",
            "host not found in \"nowhere.test:80\" of the \"listen\" directive",
        ),
        ("listen 81 wat;", "invalid parameter \"wat\""),
        (
            "client_max_body_size 1x;",
            "\"client_max_body_size\" directive invalid value",
        ),
        (
            "client_header_timeout 1q;",
            "\"client_header_timeout\" directive invalid value",
        ),
        (
            "client_header_timeout 1s; client_header_timeout 2s;",
            "\"client_header_timeout\" directive is duplicate",
        ),
        ("add_header X $nope;", "unknown \"nope\" variable"),
        ("add_header X $;", "invalid variable name"),
        (
            "add_header X ${host;",
            "the closing bracket in \"host\" variable is missing",
        ),
        (
            "add_header X y sometimes;",
            "invalid parameter \"sometimes\"",
        ),
        ("add_header 'X Y' y;", "invalid header name \"X Y\""),
        ("server_name *;", "server name \"*\" is invalid"),
        ("server_name ab*;", "server name \"ab*\" is invalid"),
        ("server_name *.a.*;", "server name \"*.a.*\" is invalid"),
        (
            "listen unix:;",
            "no path in the unix domain socket in \"unix:\" of the \"listen\" directive",
        ),
        (
            "location / { proxy_pass http://:80; }",
            "no host in upstream \":80\"",
        ),
        (
            "proxy_next_upstream sometimes;",
            "invalid value \"sometimes\"",
        ),
    ] {
        let found = message(server(inner));
        assert_eq!(found, format!("[emerg] {wanted} in t.conf:4"), "{inner}");
    }
}

#[test]
fn locations_are_checked_where_they_stand() {
    for (inner, wanted) in [
        ("location / { proxy_pass backend; }", "invalid URL prefix"),
        (
            "location / { proxy_pass http://backend; }",
            "host not found in upstream \"backend\"",
        ),
        (
            "location / { proxy_pass http://127.0.0.1:99999; }",
            "invalid port in upstream \"127.0.0.1:99999\"",
        ),
        ("location / { return abc; }", "invalid return code \"abc\""),
        (
            "location / { return 1000; }",
            "invalid return code \"1000\"",
        ),
        (
            "location !~ / { return 200; }",
            "invalid location modifier \"!~\"",
        ),
        (
            "location / { return 200; } location / { return 201; }",
            "duplicate location \"/\"",
        ),
    ] {
        let found = message(server(inner));
        assert_eq!(found, format!("[emerg] {wanted} in t.conf:4"), "{inner}");
    }
}

#[test]
fn upstream_faults() {
    for (inner, wanted) in [
        ("upstream a {}", "no servers are inside upstream"),
        (
            "upstream a { server nowhere.test; }",
            "host not found in upstream \"nowhere.test\"",
        ),
        (
            "upstream a { server 127.0.0.1:0; }",
            "invalid port in upstream \"127.0.0.1:0\"",
        ),
        (
            "upstream a { server 127.0.0.1 weight=0; }",
            "invalid parameter \"weight=0\"",
        ),
        (
            "upstream a { server 127.0.0.1 wat=1; }",
            "invalid parameter \"wat=1\"",
        ),
        (
            "upstream a { server 127.0.0.1; } upstream a { server 127.0.0.1; }",
            "duplicate upstream \"a\"",
        ),
        (
            "server { listen 80; } server { listen 80 default_server; } \
          server { listen 80 default_server; }",
            "a duplicate default server for 0.0.0.0:80",
        ),
        ("map $host x { default y; }", "invalid variable name \"x\""),
        (
            "map $host $x { a; }",
            "invalid number of the map parameters",
        ),
        ("map $host $x { a b; A c; }", "conflicting parameter \"a\""),
        (
            "map $host $x { default 1; default 2; }",
            "duplicate default map parameter",
        ),
    ] {
        let found = message(http(inner));
        assert_eq!(found, format!("[emerg] {wanted} in t.conf:3"), "{inner}");
    }
    let stream = |inner: &str| load(&format!("events {{}} stream {{ {inner} }}"));
    for (inner, wanted) in [
        ("server { listen 81; }", "no handler for server"),
        (
            "server { listen 81; proxy_pass 127.0.0.1; }",
            "no port in upstream \"127.0.0.1\"",
        ),
        (
            "server { proxy_pass 127.0.0.1:1; }",
            "no \"listen\" is defined for server",
        ),
        (
            "server { listen 82-81; return x; }",
            "invalid port in \"82-81\" of the \"listen\" directive",
        ),
        (
            "server { listen 81; pass 81; pass 81; }",
            "\"pass\" directive is duplicate",
        ),
        (
            "server { listen 80-81; listen 81; proxy_pass 127.0.0.1:1; }",
            "duplicate \"0.0.0.0:81\" address and port pair",
        ),
    ] {
        let found = message(stream(inner));
        assert_eq!(found, format!("[emerg] {wanted} in t.conf:1"), "{inner}");
    }
}

/// What nginx does and this version does not is refused by name and line, never ignored.
#[test]
fn the_unsupported_is_refused() {
    for (inner, what) in [
        ("ssi on;", "directive \"ssi\""),
        ("ssl_key_log x;", "directive \"ssl_key_log\""),
        ("slice 1m;", "directive \"slice\""),
        ("proxy_store on;", "\"proxy_store\""),
        (
            "content_by_lua_block { local x = {} if x then end } }",
            "directive \"content_by_lua_block\"",
        ),
        ("listen 81 quic;", "the \"quic\" parameter of \"listen\""),
        (
            "proxy_bind $host transparent;",
            "\"transparent\" in \"proxy_bind\"",
        ),
        (
            "proxy_ignore_client_abort on;",
            "\"proxy_ignore_client_abort on\"",
        ),
        ("autoindex on;", "directive \"autoindex\""),
        ("add_header X $ssl_sigalg;", "variable \"ssl_sigalg\""),
        ("proxy_http_version 2;", "\"proxy_http_version 2\""),
    ] {
        let error = server(inner).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains(what) && text.contains("not supported by weir yet"),
            "{text}"
        );
        assert!(text.ends_with("in t.conf:4"), "{text}");
        assert_eq!(error.kind, Kind::Unsupported, "{text}");
    }
    let text = message(http("upstream a { ntlm; server 127.0.0.1; }"));
    assert_eq!(
        text,
        "[emerg] directive \"ntlm\" is not supported by weir yet in t.conf:3"
    );
    let text = message(load("load_module modules/mine.so; events {}"));
    assert!(
        text.contains("is not supported by weir yet in t.conf:1"),
        "{text}"
    );
}

/// Debian loads whatever module is installed; what it would add is refused where it is used.
#[test]
fn a_module_that_is_loaded_and_not_used_has_no_effect() {
    let module = "load_module modules/ngx_http_echo_module.so; events {}";
    let config = load(module).unwrap();
    let what = "load_module ngx_http_echo_module.so";
    assert_eq!(config.noops()[0].what, what);
    let used = format!("{module}\nhttp {{ server {{ listen 81; location / {{ echo x; }} }} }}");
    assert_eq!(
        message(load(&used)),
        "[emerg] directive \"echo\" is not supported by weir yet in t.conf:2"
    );
}
