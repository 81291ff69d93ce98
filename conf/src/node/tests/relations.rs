//! Settings that say something of one another, and secrets.

use super::{config, errors, load, load_with, no_env, warnings};
use crate::node::{DbType, Roles};

#[test]
fn cluster_enabled_follows_from_the_others() {
    assert!(!config("").cluster.enabled);
    assert!(config("cluster.origin.nodes=o1").cluster.enabled);
    assert!(load("db.type=mongodb\ndb.host=db1").config.cluster.enabled);
    assert!(load("server.mode=cluster").config.cluster.enabled);
    assert!(
        !config("cluster.enabled=false\ndb.type=mongodb\ndb.host=db1")
            .cluster
            .enabled
    );
}

#[test]
fn a_servers_name_is_its_host_where_it_can_be_one() {
    for (name, host) in [
        ("live.example", Some("live.example")),
        ("10.0.0.7", Some("10.0.0.7")),
        ("::1", Some("::1")),
        ("Weir of Lucerne", None),
        ("Weir", None),
        ("St. Gallen", None),
        ("", None),
    ] {
        let management = config(&format!("server.name={name}")).management;
        assert_eq!(management.public_host().as_deref(), host, "{name:?}");
    }
}

#[test]
fn cluster_enabled_false_keeps_a_node_to_itself() {
    let loaded = load("cluster.enabled=false\ncluster.origin.nodes=o1");
    assert!(loaded.config.cluster.origin_nodes.is_empty());
    assert!(loaded.layout.origins.is_empty());
    assert_eq!(
        loaded.warnings[0].to_string(),
        "conf/node.properties:2: cluster.origin.nodes is not used with cluster.enabled=false"
    );
}

#[test]
fn cluster_enabled_may_not_contradict_the_mode() {
    assert_eq!(
        errors("server.mode=cluster\ncluster.enabled=false"),
        [
            "conf/node.properties:2: cluster.enabled contradicts server.mode=cluster \
          (conf/node.properties:1); leave one of them out"
        ]
    );
    assert_eq!(
        errors("server.mode=standalone\ncluster.enabled=true").len(),
        1
    );
    // The default of server.mode contradicts nothing.
    assert!(
        config("cluster.enabled=true\ncluster.origin.nodes=o1")
            .cluster
            .enabled
    );
}

#[test]
fn a_cluster_without_a_shared_store_is_advised_of() {
    let advice = "the node is to be in a cluster, but its store (db.type=embedded) is its own: no \
                  other node is seen. Set db.type=mongodb and db.host, or cluster.origin.nodes";
    assert_eq!(
        warnings("server.mode=cluster"),
        [format!("conf/node.properties:1: {advice}")]
    );
}

#[test]
fn mongodb_needs_its_host() {
    assert_eq!(
        errors("db.type=mongodb"),
        [
            "conf/node.properties:1: db.type=mongodb needs db.host; expected mongodb://…, host or \
          host:port"
        ]
    );
    let config = load("db.type=mongodb\ndb.host=db1").config;
    assert_eq!(config.db.kind, DbType::MongoDb);
}

#[test]
fn mongodbs_settings_without_mongodb_are_said() {
    assert_eq!(
        warnings("db.host=db1\ndb.password=x"),
        [
            "conf/node.properties:1: not used with db.type=embedded: db.host, db.password. Set \
          db.type=mongodb to use MongoDB"
        ]
    );
}

#[test]
fn settings_for_what_is_not_here_are_said_once_when_changed() {
    assert_eq!(
        warnings("encoder.thread.count=0\nencoder.gpu.enabled=false"),
        [""; 0]
    );
    assert_eq!(
        warnings("encoder.thread.count=4\nencoder.gpu.enabled=true\nserver.cpu_limit=80"),
        [
            "conf/node.properties:3: server.cpu_limit is kept, but this version admits streams \
             whatever the load is",
            "conf/node.properties:1: encoder.thread.count is kept, but this version runs no \
             transcoder",
            "conf/node.properties:2: encoder.gpu.enabled is kept, but this version runs no \
             transcoder",
        ]
    );
}

#[test]
fn an_edge_alone_needs_origins() {
    let edge = "an edge without an origin beside it needs cluster.origin.nodes (host or host:port \
                of origins), or db.type=mongodb";
    assert_eq!(
        errors("server.mode=edge"),
        [format!("conf/node.properties:1: {edge}")]
    );
    assert_eq!(
        config("server.mode=edge\ncluster.origin.nodes=o1")
            .cluster
            .origin_nodes
            .len(),
        1
    );
    load("server.mode=edge\ndb.type=mongodb\ndb.host=db1");
    // Roles of the command line count, not those of the file.
    let roles = Roles::parse("edge");
    let errors = load_with("", roles, no_env()).unwrap_err().to_string();
    assert_eq!(errors, format!("settings: {edge}"));
    assert!(load_with("server.mode=edge", Some(Roles::ALL), no_env()).is_ok());
}

#[test]
fn an_lb_alone_needs_its_file_or_a_store() {
    assert_eq!(
        errors("server.mode=lb,origin"),
        [
            "conf/node.properties:1: an lb without an edge beside it needs lb.conf, which names its \
          servers, or db.type=mongodb, where edges and origins register"
        ]
    );
    config("server.mode=lb\nlb.conf=lb.conf");
    config("server.mode=lb\ndb.type=mongodb\ndb.host=db1");
}

#[test]
fn secrets_are_never_shown() {
    let text = "db.type=mongodb\ndb.host=mongodb://somebody:hunter2@db1:27017,db2/x?tls=hunter2\n\
                db.password=hunter2\ndb.options=k=hunter2";
    let loaded = load(text);
    let shown = format!("{loaded:?}");
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(!shown.contains("somebody"), "{shown}");
    let host = loaded.config.db.host.unwrap();
    assert_eq!(host.to_string(), "mongodb://***@db1:27017,db2/x");

    let wrong = [
        "db.host=mongodb//admin:hunter2@db1",
        "db.host=redis://:hunter2@db1",
        "db.options=hunter2",
        "db.pasword=hunter2",
        "db.password=hunter2\\u12",
        "db.password=hunter2\nhls.time=x",
        "server.jwtServerSecretKey=hunter2\nhls.time=x",
    ];
    for text in wrong {
        let errors = load_with(text, None, no_env()).unwrap_err();
        assert!(
            !format!("{errors} {errors:?}").contains("hunter2"),
            "{errors}"
        );
    }
    let foreign = load("server.licence_key=hunter2").warnings;
    assert!(!format!("{foreign:?} {}", foreign[0]).contains("hunter2"));
}

#[test]
fn credentials_with_odd_characters_are_not_shown_either() {
    let hosts = [
        ("mongodb://u:p/w@h:1/x", "mongodb://***@h:1/x"),
        ("mongodb://u:p@w@h", "mongodb://***@h"),
        ("mongodb://u:p?w@h", "mongodb://***"),
        ("mongodb://h/?appName=a@b", "mongodb://***"),
        ("mongodb+srv://h/x?password=p", "mongodb+srv://h/x"),
        ("db1,db2:1", "db1,db2:1"),
    ];
    for (written, shown) in hosts {
        let config = load(&format!("db.type=mongodb\ndb.host={written}")).config;
        assert_eq!(config.db.host.unwrap().to_string(), shown);
    }
}
