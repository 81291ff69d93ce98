//! Variables that the file makes: names, `map`, `geo`, `split_clients`.

use super::{http, message};
use crate::nginx::model::variable::{Define, Map, Variable};
use crate::nginx::template::{Part, Var};

const SERVER: &str = "server { listen 81; }";

fn variables(inner: &str) -> Vec<Variable> {
    let config = http(&format!("{inner} {SERVER}")).unwrap();
    config.http.unwrap().variables
}

fn map(inner: &str) -> Map {
    match variables(inner).remove(0).define {
        Some(Define::Map(map)) => *map,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_variable_may_be_used_before_the_line_that_makes_it() {
    let all = variables(
        "map $second $first { default $third; } map $host $second { ~^(?<third>.)x 1; }
         server { set $Fourth $first; if ($uri ~ ^/(?P<fifth>.)) { set $args ''; } }",
    );
    let names: Vec<&str> = all.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["first", "second", "third", "fourth", "fifth"]);
    let Some(Define::Map(map)) = &all[0].define else {
        panic!("no map")
    };
    assert_eq!(map.source.parts, [Part::Var(Var::User(1))]);
    assert_eq!(map.default.parts, [Part::Var(Var::User(2))]);
    assert!(all[3].define.is_none());
    for (text, wanted) in [
        (
            "map $nowhere $a { default 1; }",
            "unknown \"nowhere\" variable",
        ),
        (
            "map $host $uri { default 1; }",
            "the duplicate \"uri\" variable",
        ),
        ("map $host a { default 1; }", "invalid variable name \"a\""),
    ] {
        let found = message(http(&format!("{text} {SERVER}")));
        assert_eq!(found, format!("[emerg] {wanted} in t.conf:3"), "{text}");
    }
}

#[test]
fn maps_find_as_nginx_does() {
    let map = map(
        "map $host $v { hostnames; default d; a.b exact; *.b lead; .x.b dot; a.* trail;
           ~^Reg case; ~*^reg(.) any$1; \\include special; }",
    );
    let find = |key: &str| match map.find(key.as_bytes()).0.parts.first() {
        Some(Part::Text(text)) => text.clone(),
        other => format!("{other:?}"),
    };
    for (key, wanted) in [
        ("A.b.", "exact"),
        ("q.b", "lead"),
        ("x.b", "dot"),
        ("y.x.b", "dot"),
        ("a.c", "trail"),
        ("Regx", "case"),
        ("regx", "any"),
        ("include", "special"),
        ("", "d"),
        ("nothing", "d"),
    ] {
        assert_eq!(find(key), wanted, "{key}");
    }
    assert!(map.find(b"regx").1.is_some() && map.find(b"a.b").1.is_none());
}

#[test]
fn maps_are_refused_in_nginxs_words() {
    for (inner, wanted) in [
        ("a;", "invalid number of the map parameters"),
        ("default 1; default 2;", "duplicate default map parameter"),
        ("a 1; A 2;", "conflicting parameter \"a\""),
        ("hostnames; a*b 1;", "invalid hostname or wildcard \"a*b\""),
        ("~( 1;", "pcre2_compile() failed: unclosed group in \"(\""),
    ] {
        let found = message(http(&format!("map $host $v {{ {inner} }} {SERVER}")));
        assert_eq!(found, format!("[emerg] {wanted} in t.conf:3"), "{inner}");
    }
}

#[test]
fn geo_reads_networks_and_ranges() {
    let all = variables(
        "geo $a { default no; 10.0.0.0/8 ten; 10.1.0.0/255.255.0.0 one; delete 10.0.0.0/8;
           proxy 192.0.2.0/24; proxy_recursive; ::1 six; }
         geo $arg_ip $b { ranges; default no; 10.0.0.1-10.0.0.9 r; }",
    );
    let find = |place: usize, addr: &str| match &all[place].define {
        Some(Define::Geo(geo)) => geo.find(addr.parse().unwrap()).to_owned(),
        other => panic!("{other:?}"),
    };
    assert_eq!(find(0, "10.1.9.9"), "one");
    assert_eq!(find(0, "10.2.9.9"), "no");
    assert_eq!(find(0, "::1"), "six");
    assert_eq!(find(1, "10.0.0.9"), "r");
    assert_eq!(find(1, "10.0.0.10"), "no");
    for (inner, wanted) in [
        ("10.0.0.0/40 1;", "invalid network \"10.0.0.0/40\""),
        ("ranges; 9-1 1;", "invalid range \"9-1\""),
        ("1.1.1.1;", "invalid number of the geo parameters"),
    ] {
        let found = message(http(&format!("geo $v {{ {inner} }} {SERVER}")));
        assert_eq!(found, format!("[emerg] {wanted} in t.conf:3"), "{inner}");
    }
}

#[test]
fn clients_are_split_by_percent() {
    let all = variables("split_clients $arg_x $v { 0.01% first; 51.2% second; * rest; }");
    let Some(Define::Split(split)) = &all[0].define else {
        panic!("no split")
    };
    let below: Vec<Option<u32>> = split.parts.iter().map(|(below, _)| *below).collect();
    assert_eq!(below, [Some(429_496), Some(2_199_452_751), None]);
    assert_eq!(split.find(b"abcd"), "second");
    assert_eq!(split.find(b"a"), "rest");
    for (inner, wanted) in [
        ("0% a;", "invalid percent value \"0%\""),
        ("1.001% a;", "invalid percent value \"1.001%\""),
        ("60% a; 50% b;", "percent total is greater than 100%"),
    ] {
        let found = message(http(&format!(
            "split_clients $uri $v {{ {inner} }} {SERVER}"
        )));
        assert_eq!(found, format!("[emerg] {wanted} in t.conf:3"), "{inner}");
    }
}
