//! The shipped files and the reference: as true as the table.

use super::no_env;
use crate::node::keys::{self, DefaultValue};
use crate::node::{Loaded, NodeConfig, Roles, read_file, settings_md};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const SHIPPED: [&str; 4] = ["weir", "origin", "edge", "lb"];

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("{name}.properties"))
}

fn load(name: &str) -> Loaded {
    NodeConfig::load(Some(&path(name)), None, no_env(), read_file).unwrap_or_else(|e| panic!("{e}"))
}

/// The keys shown in comments (`#key=value`) and set, each with its value.
fn shown(name: &str) -> Vec<(bool, String, String)> {
    let text = std::fs::read_to_string(path(name)).unwrap();
    let pair = |line: &str| {
        let (commented, rest) = match line.strip_prefix('#') {
            Some(rest) => (true, rest),
            None => (false, line),
        };
        let (key, value) = rest.split_once('=')?;
        let is_key = !key.is_empty() && !key.contains(' ');
        is_key.then(|| (commented, key.to_owned(), value.to_owned()))
    };
    text.lines().filter_map(pair).collect()
}

#[test]
fn each_shipped_file_is_right_and_gives_no_warning() {
    for name in SHIPPED {
        assert_eq!(load(name).warnings, [], "{name}");
    }
}

/// The cluster's files: as they stand they are a cluster on one machine.
#[test]
fn the_clusters_files_are_right() {
    for role in ["lb", "edge", "origin"] {
        let Loaded {
            layout, warnings, ..
        } = load(&format!("cluster/{role}"));
        assert_eq!(layout.roles.to_string(), role);
        assert!(layout.origins.is_empty(), "{role}");
        let warnings: Vec<_> = warnings.iter().map(ToString::to_string).collect();
        match role {
            "origin" => assert!(
                warnings.len() == 1 && warnings[0].contains("no other machine reaches"),
                "{warnings:?}"
            ),
            _ => assert_eq!(warnings, Vec::<String>::new(), "{role}"),
        }
    }
}

#[test]
fn each_shipped_file_runs_its_role() {
    let roles = |name| load(name).layout.roles;
    assert_eq!(roles("weir"), Roles::ALL);
    assert_eq!(roles("origin").to_string(), "origin");
    assert_eq!(roles("edge").to_string(), "edge");
    assert_eq!(roles("lb").to_string(), "lb");
    let lb_conf = load("lb").config.lb_conf.unwrap();
    assert_eq!(
        lb_conf,
        Path::new(env!("CARGO_MANIFEST_DIR")).join("standalone.conf")
    );
}

#[test]
fn the_single_roles_fit_together_as_they_do_in_one_process() {
    let (weir, origin, edge) = (
        load("weir").layout,
        load("origin").layout,
        load("edge").layout,
    );
    assert_eq!(origin.origin_http, weir.origin_http);
    assert_eq!(origin.origin_rtmp, weir.origin_rtmp);
    assert_eq!(origin.rtmp_proxy_protocol, weir.rtmp_proxy_protocol);
    assert_eq!(edge.edge_http, weir.edge_http);
    let asked: Vec<_> = edge.origins.iter().map(ToString::to_string).collect();
    assert_eq!(asked, [origin.origin_http.unwrap().to_string()]);
}

#[test]
fn the_all_in_one_file_changes_no_default() {
    assert_eq!(load("weir").config, NodeConfig::default());
}

#[test]
fn defaults_shown_in_comments_are_the_real_ones() {
    for name in SHIPPED {
        for (commented, key, value) in shown(name) {
            let row = keys::all().find(|row| row.name == key);
            let row = row.unwrap_or_else(|| panic!("{name}: {key} is no key"));
            match row.default {
                _ if !commented => {}
                DefaultValue::Is(default) => assert_eq!(value, default, "{name}: {key}"),
                DefaultValue::Unset(_) => assert_eq!(value, "", "{name}: {key}"),
            }
        }
    }
}

#[test]
fn the_all_in_one_file_shows_every_key_once() {
    let keys_shown = shown("weir");
    let distinct: BTreeSet<_> = keys_shown.iter().map(|(_, key, _)| key.as_str()).collect();
    let known: BTreeSet<_> = keys::all().map(|row| row.name).collect();
    assert_eq!(distinct, known);
    assert_eq!(keys_shown.len(), known.len());
}

/// After a change of the table: `UPDATE_DOCS=1 cargo test -p weir-conf settings_reference`.
#[test]
fn the_settings_reference_is_current() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/settings.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&file, settings_md()).unwrap();
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        committed == settings_md(),
        "docs/settings.md is not what the table says; UPDATE_DOCS=1 rewrites it"
    );
}
