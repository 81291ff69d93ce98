//! Whatever the bytes, the answer is a tree or an error.

use std::path::Path;

use proptest::prelude::*;

use super::Names;
use crate::nginx::parse::{self, Limits};
use crate::nginx::{LoadOptions, lower, table};

fn feed(bytes: &[u8]) {
    let limits = Limits::default();
    let _ = parse::parse_text(bytes, "f", Path::new("/nonexistent"), &limits, &parse::any);
    let tree = parse::parse_text(
        bytes,
        "f",
        Path::new("/nonexistent"),
        &limits,
        &table::check,
    );
    if let Ok(tree) = tree {
        let _ = lower::lower(&tree, &LoadOptions::default(), &Names);
    }
}

/// Text made of what configurations are made of, so that it gets past the tokenizer.
fn nearly() -> impl Strategy<Value = String> {
    let names: Vec<&'static str> = table::rows().map(|row| row.name).collect();
    let word = prop_oneof![
        4 => proptest::sample::select(names).prop_map(str::to_owned),
        4 => proptest::sample::select(vec![
            "{", "}", ";", ";\n", "http", "server {", "events {}", "127.0.0.1:1", "[::1]:99", "1m",
            "on", "off", "$host", "${x", "http://a/b", "http://127.0.0.1", "=", "^~", "~", "/",
            "unix:/x", "weight=2", "\"a b\"", "'", "*", "map $host $x {", "200", "[", "]:", "[:",
        ]).prop_map(str::to_owned),
        1 => "[ -~\\n]{0,6}",
        1 => "\\PC{0,3}",
    ];
    proptest::collection::vec(word, 0..60).prop_map(|words| words.join(" "))
}

proptest! {
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        feed(&bytes);
    }

    #[test]
    fn nearly_configurations(text in nearly()) {
        feed(text.as_bytes());
        feed(format!("events {{}} http {{ server {{ {text} }} }}").as_bytes());
        feed(format!("events {{}} stream {{ server {{ {text} }} }}").as_bytes());
        feed(format!("events {{}} http {{ upstream x {{ {text} }} }}").as_bytes());
    }

    #[test]
    fn values(text in "\\PC{0,12}") {
        let _ = crate::nginx::value::time_ms(&text);
        let _ = crate::nginx::value::size_bytes(&text);
        let _ = crate::nginx::template::parse(&text, &crate::nginx::template::Names::default());
        let _ = crate::nginx::addr::upstream(&text, Some(80), &Names);
        let _ = crate::nginx::addr::listen(&text, Some(80), true, &Names);
    }
}

/// A shipped file cut or changed at any byte is read or refused, never a panic.
#[test]
fn the_shipped_file_damaged_everywhere() {
    let text = include_bytes!("../../../standalone.conf");
    for at in 0..text.len() {
        feed(text.get(..at).unwrap());
        for byte in [b'{', b'}', b'"', b'$', b'\\', 0xff] {
            let mut damaged = text.to_vec();
            damaged[at] = byte;
            feed(&damaged);
        }
    }
}
