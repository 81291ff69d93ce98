//! Locations of every kind, what they rewrite, and what they answer themselves.

use super::{http, message, server};
use crate::nginx::model::web::{Alias, Expires, Op, Then, TryLast};
use crate::nginx::model::{Action, Config, Location, Match, Server};

fn first(config: &Config) -> &Server {
    &config.http.as_ref().unwrap().servers[0]
}

fn find<'a>(server: &'a Server, path: &str) -> &'a Location {
    server.locations.iter().find(|it| it.path == path).unwrap()
}

#[test]
fn locations_nest() {
    let config = server(
        "location /a { location /a/b { location ~ \\.x$ { internal; } } location = /a/c { } }
         location @n { return 204; } location ~* ^/R(?<rest>.*) { }",
    )
    .unwrap();
    let server = first(&config);
    let roots: Vec<&str> = server
        .roots
        .iter()
        .map(|it| server.locations[*it].path.as_str())
        .collect();
    assert_eq!(roots, ["/a", "@n", "^/R(?<rest>.*)"]);
    let outer = find(server, "/a");
    assert_eq!(outer.children.len(), 2);
    let regex = find(server, "\\.x$");
    assert!(regex.internal && matches!(regex.matching, Match::Regex(_)));
    assert!(find(server, "@n").internal);
    assert!(matches!(outer.action, Action::Files));
}

#[test]
fn locations_are_refused_in_nginxs_words() {
    for (inner, wanted) in [
        (
            "location = /a { location /a/b { } }",
            "location \"/a/b\" cannot be inside the exact location \"/a\"",
        ),
        (
            "location /a { location /b { } }",
            "location \"/b\" is outside location \"/a\"",
        ),
        (
            "location /a { location @b { } }",
            "named location \"@b\" can be on the server level only",
        ),
        (
            "location /a { } location ^~ /a { }",
            "duplicate location \"/a\"",
        ),
        (
            "location @a { } location @a { }",
            "duplicate location \"@a\"",
        ),
        ("location ! /a { }", "invalid location modifier \"!\""),
        (
            "location ~ [ { }",
            "pcre2_compile() failed: unclosed character class in \"[\"",
        ),
        (
            "location / { if ($uri) { if ($args) { } } }",
            "\"if\" directive is not allowed here",
        ),
        ("if $uri { }", "invalid condition \"$uri\""),
        ("if (uri) { }", "invalid condition \"uri\""),
        ("if ($uri < 1) { }", "unexpected \"<\" in condition"),
        ("if (-q /a) { }", "invalid condition \"-q\""),
        ("rewrite ^ /a never;", "invalid parameter \"never\""),
        ("return x;", "invalid return code \"x\""),
        (
            "error_page 200 /x;",
            "value \"200\" must be between 300 and 599",
        ),
        ("error_page 404 =200 =201 /x;", "invalid value \"=200\""),
        ("allow here;", "invalid parameter \"here\""),
        ("root /a; root /b;", "\"root\" directive is duplicate"),
        ("try_files /a =x;", "invalid code \"x\""),
        ("expires soon;", "\"expires\" directive invalid value"),
    ] {
        let found = message(server(inner));
        assert_eq!(found, format!("[emerg] {wanted} in t.conf:4"), "{inner}");
    }
}

#[test]
fn rewrites_are_read() {
    let config = server(
        "rewrite ^/a(.*) /b$1?x=1? last; rewrite ^ http://h/; rewrite ^ /p permanent; set $a 1;
         if ($a != 2) { break; }
         location / { proxy_pass http://127.0.0.1; if ($a ~* x) { add_header Y 1; return 404; } }",
    )
    .unwrap();
    let server = first(&config);
    let Op::Rewrite(rewrite) = &server.script[0] else {
        panic!("no rewrite")
    };
    assert!(rewrite.args.is_some() && !rewrite.keep_args && rewrite.then == Then::Last);
    let then = |op: &Op| match op {
        Op::Rewrite(rewrite) => rewrite.then,
        other => panic!("{other:?}"),
    };
    assert_eq!(then(&server.script[1]), Then::Redirect(302));
    assert_eq!(then(&server.script[2]), Then::Redirect(301));
    assert!(matches!(&server.script[4], Op::If { location: None, .. }));
    let outer = server
        .locations
        .iter()
        .find(|it| it.matching == Match::Prefix)
        .unwrap();
    let Op::If {
        location: Some(inner),
        ..
    } = &outer.script[0]
    else {
        panic!("no if")
    };
    // An `if` passes on what its location passes on.
    let inner = &server.locations[*inner];
    assert!(matches!(inner.action, Action::Proxy(_)));
    assert_eq!(inner.common.add_headers.len(), 1);
}

#[test]
fn files_and_pages_are_inherited_as_in_nginx() {
    let config = http(
        "root /srv/; index a b; error_page 404 =200 @x; expires 1h;
         server { listen 81; try_files $uri =404;
           location /own { root rel; index c; error_page 500 502 = /e; allow 10.0.0.0/8; deny all;
             auth_basic r; auth_basic_user_file pw; expires -1; }
           location /as { alias /x/; try_files $uri/ $uri /index.html; } }",
    )
    .unwrap();
    let server = first(&config);
    assert_eq!(server.common.web.root.dir.as_text(), Some("/srv"));
    let tries = server.common.web.try_files.as_ref().unwrap();
    assert_eq!(tries.last, TryLast::Code(404));
    let own = &find(server, "/own").common.web;
    assert!(own.root.dir.as_text().unwrap().ends_with("/rel"));
    assert!(own.try_files.is_none());
    assert_eq!((own.index.len(), own.access.len()), (1, 2));
    assert_eq!(own.expires, Some(Expires::After(-1)));
    assert_eq!(own.error_pages[0].statuses, [500, 502]);
    assert_eq!(own.error_pages[0].overwrite, Some(0));
    assert!(own.auth.as_ref().unwrap().file.is_some());
    let alias = &find(server, "/as").common.web;
    assert!(alias.root.alias == Some(Alias::Prefix(3)) && alias.root.dir.as_text() == Some("/x/"));
    assert_eq!(alias.error_pages[0].overwrite, Some(200));
    assert_eq!(
        (alias.index.len(), alias.expires.as_ref()),
        (2, Some(&Expires::After(3600)))
    );
    assert!(alias.try_files.as_ref().unwrap().tests[0].1);
}

#[test]
fn server_names_may_be_expressions() {
    let config = server("server_name a ~^(?<who>.+)\\.x$ *.b;").unwrap();
    let server = first(&config);
    assert_eq!(server.names, ["a", "~^(?<who>.+)\\.x$", "*.b"]);
    assert_eq!(server.name_regexes.len(), 1);
    let bad = message(super::server("server_name a*b;"));
    assert_eq!(bad, "[emerg] server name \"a*b\" is invalid in t.conf:4");
}
