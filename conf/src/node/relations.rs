//! What settings say of one another: contradictions, needs, and settings that do nothing.

use super::check::Checker;
use super::config::NodeConfig;
use super::error::{Place, Problem, Warning};
use super::types::{DbType, ServerMode};

/// Checks and resolves what follows from several settings together.
pub(super) fn check(checker: &mut Checker) {
    cluster(checker);
    store(checker);
    not_yet(checker);
}

/// `cluster.enabled` follows from the others unless it is set; set, it may not deny them.
fn cluster(checker: &mut Checker) {
    let mode = checker.config.server_mode;
    let Some(set) = checker.notes.is_set("cluster.enabled").cloned() else {
        let config = &mut checker.config;
        config.cluster.enabled = mode == ServerMode::Cluster
            || config.db.kind == DbType::MongoDb
            || !config.cluster.origin_nodes.is_empty();
        return advise_on_store(checker);
    };
    let place = set.place;
    let contradiction = match (mode, checker.config.cluster.enabled) {
        (ServerMode::Cluster, false) => Some("cluster"),
        (ServerMode::Standalone, true) if checker.notes.is_set("server.mode").is_some() => {
            Some("standalone")
        }
        _ => None,
    };
    if let Some(word) = contradiction {
        let text = format!(
            "cluster.enabled contradicts server.mode={word} ({}); leave one of them out",
            checker.notes.place("server.mode")
        );
        checker.notes.errors.push(place, Problem::Conflict(text));
        return;
    }
    if !checker.config.cluster.enabled && !checker.config.cluster.origin_nodes.is_empty() {
        checker.config.cluster.origin_nodes.clear();
        checker.notes.warn(Warning::Unused {
            place: checker.notes.place("cluster.origin.nodes"),
            text: "cluster.origin.nodes is not used with cluster.enabled=false".to_owned(),
        });
    }
    advise_on_store(checker);
}

fn advise_on_store(checker: &mut Checker) {
    let NodeConfig { cluster, db, .. } = &checker.config;
    if cluster.enabled && db.kind == DbType::Embedded && cluster.origin_nodes.is_empty() {
        let key = match checker.notes.is_set("cluster.enabled") {
            Some(_) => "cluster.enabled",
            None => "server.mode",
        };
        checker.notes.warn(Warning::Advice {
            place: checker.notes.place(key),
            text:
                "the node is to be in a cluster, but its store (db.type=embedded) is its own: no \
                   other node is seen. Set db.type=mongodb and db.host, or cluster.origin.nodes"
                    .to_owned(),
        });
    }
}

fn store(checker: &mut Checker) {
    let db = &checker.config.db;
    if db.kind == DbType::MongoDb {
        if db.host.is_none() {
            let text = "db.type=mongodb needs db.host; expected mongodb://…, host or host:port";
            checker.notes.errors.push(
                checker.notes.place("db.type"),
                Problem::Conflict(text.to_owned()),
            );
        }
        return;
    }
    // Ant Media's file comes with clusterdb.host=localhost, which its standalone servers ignore.
    let untouched = db
        .host
        .as_ref()
        .is_some_and(|host| host.expose() == "localhost");
    let keys = ["db.host", "db.user", "db.password", "db.options"];
    let mut unused: Vec<(String, Place)> = Vec::new();
    for set in keys
        .iter()
        .filter_map(|key| checker.notes.is_set(key))
        .cloned()
        .collect::<Vec<_>>()
    {
        if set.spelling.starts_with("clusterdb.") && untouched {
            checker.notes.foreign(set.spelling);
        } else {
            unused.push((set.spelling, set.place));
        }
    }
    if let Some((_, place)) = unused.first().cloned() {
        let names: Vec<_> = unused.into_iter().map(|(name, _)| name).collect();
        checker.notes.warn(Warning::Unused {
            place,
            text: format!(
                "not used with db.type=embedded: {}. Set db.type=mongodb to use MongoDB",
                names.join(", ")
            ),
        });
    }
}

/// Settings that are kept for what this version does not do, when they differ from the default.
fn not_yet(checker: &mut Checker) {
    const NO_TRANSCODER: &str = "is kept, but this version runs no transcoder";
    let (now, default) = (&checker.config, NodeConfig::default());
    let settings = [
        (
            "server.cpu_limit",
            now.cpu_limit_percent != default.cpu_limit_percent,
            "is kept, but this version admits streams whatever the load is",
        ),
        (
            "encoder.thread.count",
            now.encoder.thread_count != default.encoder.thread_count,
            NO_TRANSCODER,
        ),
        (
            "encoder.gpu.enabled",
            now.encoder.gpu_enabled != default.encoder.gpu_enabled,
            NO_TRANSCODER,
        ),
    ];
    for (key, _, why) in settings.into_iter().filter(|(_, differs, _)| *differs) {
        let place = checker.notes.place(key);
        checker.notes.warn(Warning::Unused {
            place,
            text: format!("{key} {why}"),
        });
    }
}
