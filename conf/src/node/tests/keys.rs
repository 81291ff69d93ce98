//! Every key: its default, a value that changes its field, and values that are refused.

use super::{config, errors, load, proofs_numbers as numbers, proofs_texts as texts};
use crate::node::error::shown;
use crate::node::keys::{self, DefaultValue};
use crate::node::kind::Written;
use crate::node::{DbType, Endpoint, Listen, LogFormat, LogLevel, NodeConfig, Roles, ServerMode};
use std::fmt::Debug;
use std::path::{Path, PathBuf};

/// One key's proof.
pub(super) struct Proof {
    pub(super) key: &'static str,
    /// The field, shown.
    pub(super) field: fn(&NodeConfig) -> String,
    /// The field without the key.
    pub(super) default: &'static str,
    /// What is written, and the field then.
    pub(super) right: &'static [(&'static str, &'static str)],
    pub(super) wrong: &'static [&'static str],
}

pub(super) fn show(value: impl Debug) -> String {
    format!("{value:?}")
}

fn all_proofs() -> impl Iterator<Item = &'static Proof> {
    [numbers::NUMBERS, numbers::WORDS, texts::TEXTS, texts::MONGO]
        .into_iter()
        .flatten()
}

#[test]
fn every_key_has_its_proof() {
    let mut known: Vec<_> = keys::all().map(|key| key.name).collect();
    let mut proved: Vec<_> = all_proofs().map(|proof| proof.key).collect();
    known.sort_unstable();
    proved.sort_unstable();
    assert_eq!(known, proved);
}

#[test]
fn every_key_changes_its_field() {
    for Proof {
        key,
        field,
        default,
        right,
        ..
    } in all_proofs()
    {
        assert_eq!(field(&NodeConfig::default()), *default, "{key}");
        assert_eq!(field(&load("").config), *default, "{key}");
        assert_eq!(
            field(&load(&format!("{key}=")).config),
            *default,
            "{key}: empty is as none"
        );
        assert!(!right.is_empty(), "{key}");
        for (text, value) in *right {
            let loaded = load(&format!("{key}={text}"));
            assert_eq!(field(&loaded.config), *value, "{key}={text}");
        }
    }
}

#[test]
fn every_wrong_value_is_refused_with_what_was_expected() {
    for Proof { key, wrong, .. } in all_proofs() {
        let row = keys::all().find(|row| row.name == *key).unwrap();
        for text in *wrong {
            let found = match row.kind.is_shown() {
                true => shown(text),
                false => "not right (it is not shown)".to_owned(),
            };
            let expected = format!(
                "conf/node.properties:2: {key} is {found}; expected {}",
                row.kind.expected()
            );
            assert_eq!(errors(&format!("# c\n{key}={text}")), [expected]);
        }
    }
}

#[test]
fn the_tables_defaults_are_right_values_of_their_kind() {
    for key in keys::all() {
        let DefaultValue::Is(text) = key.default else {
            continue;
        };
        let mut config = NodeConfig::default();
        let base = Path::new("");
        assert!(
            key.kind.set(&mut config, Written { text, base }),
            "{}",
            key.name
        );
        assert_eq!(config, NodeConfig::default(), "{}", key.name);
    }
}

#[test]
fn words_become_types() {
    let config = config("server.mode=cluster\ncluster.origin.nodes=o1:81\nlog.level=warn");
    assert_eq!(config.server_mode, ServerMode::Cluster);
    assert_eq!(config.server_mode.roles(), Roles::ALL);
    assert_eq!(config.log.level, LogLevel::Warn);
    assert_eq!(config.log.format, LogFormat::Text);
    assert_eq!(config.db.kind, DbType::Embedded);
    let origin = Endpoint::Tcp {
        host: "o1".to_owned(),
        port: 81,
    };
    assert_eq!(config.cluster.origin_nodes, [origin]);
    let config = load("edge.http.listen=unix:/e").config;
    assert_eq!(
        config.http.edge_listen,
        Some(Listen::Unix(PathBuf::from("/e")))
    );
}

#[test]
fn an_unknown_key_names_the_nearest() {
    let asked = [
        ("hls.tme", Some("hls.time")),
        ("HLS_TIME", Some("hls.time")),
        ("http.prot", Some("http.port")),
        ("cache.maxBytes", Some("cache.max.bytes")),
        ("loglevel", Some("log.level")),
        ("app", Some("apps")),
        ("frobnicate", None),
        ("x", None),
    ];
    for (key, near) in asked {
        let hint = near.map_or(String::new(), |near| format!("; did you mean \"{near}\"?"));
        let expected = format!("conf/node.properties:1: key \"{key}\" is not known{hint}");
        assert_eq!(errors(&format!("{key}=1")), [expected]);
    }
}

#[test]
fn what_is_shown_of_a_line_is_short_and_harmless() {
    let long = "x".repeat(3000);
    let line = &errors(&format!("hls.time={long}"))[0];
    assert!(
        line.contains(&format!("hls.time is \"{}…\"", "x".repeat(60))),
        "{line}"
    );
    let line = &errors(r"a\u001b[31m\n=1")[0];
    assert_eq!(
        line,
        r#"conf/node.properties:1: key "a\u{1b}[31m\n" is not known"#
    );
}

#[test]
fn all_errors_come_at_once_in_the_order_of_lines() {
    let errors = errors("app.x.y=1\nhls.tme=4\nhls.time=x\nz=\\u1\ndb.type=mongodb");
    let lines: Vec<_> = errors
        .iter()
        .map(|e| e.split(": ").next().unwrap())
        .collect();
    let expected: Vec<_> = (1..=5)
        .map(|n| format!("conf/node.properties:{n}"))
        .collect();
    assert_eq!(lines, expected);
}

#[test]
fn a_key_set_twice_is_said_and_the_last_holds() {
    let loaded = load("hls.time=3\nhttp.port=81\nhlsTime=4");
    assert_eq!(loaded.config.hls_time_ms, 4000);
    let shown: Vec<_> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "conf/node.properties:3: hls.time was already set at conf/node.properties:1; the last \
          one holds"
        ]
    );
}
