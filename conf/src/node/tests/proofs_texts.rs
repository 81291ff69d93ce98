//! Proofs of the keys whose values are addresses, paths, lists and other texts; see `keys`.

use super::keys::{Proof, show};

pub(super) const TEXTS: &[Proof] = &[
    Proof {
        key: "apps",
        field: |c| show(&c.apps),
        default: r#"["LiveApp", "WebRTCAppEE", "live"]"#,
        right: &[("shop", r#"["shop"]"#), ("a , b_1,a", r#"["a", "b_1"]"#)],
        wrong: &["a,,b", "a,", "../x", "a b", "é"],
    },
    Proof {
        key: "apps.dir",
        field: |c| show(&c.apps_dir),
        default: "None",
        right: &[("../webapps", r#"Some("conf/../webapps")"#)],
        wrong: &[],
    },
    Proof {
        key: "data.dir",
        field: |c| show(&c.data_dir),
        default: "None",
        right: &[
            ("/var/lib/weir", r#"Some("/var/lib/weir")"#),
            ("d", r#"Some("conf/d")"#),
        ],
        wrong: &[],
    },
    Proof {
        key: "lb.conf",
        field: |c| show(&c.lb_conf),
        default: "None",
        right: &[("lb.conf", r#"Some("conf/lb.conf")"#)],
        wrong: &[],
    },
    Proof {
        key: "cluster.node.id",
        field: |c| show(&c.cluster.node_id),
        default: "None",
        right: &[("edge-1.eu:0", r#"Some("edge-1.eu:0")"#)],
        wrong: &[
            "a b",
            "é",
            "0123456789012345678901234567890123456789012345678901234567890123x",
        ],
    },
    Proof {
        key: "cluster.node.ip",
        field: |c| show(&c.cluster.node_ip),
        default: "None",
        right: &[
            ("10.0.0.7", r#"Some("10.0.0.7")"#),
            ("::1", r#"Some("::1")"#),
            ("o1.eu", r#"Some("o1.eu")"#),
        ],
        wrong: &["10.0.0.7:5080", "-x", "a..b"],
    },
    Proof {
        key: "nodeGroup",
        field: |c| show(&c.cluster.node_group),
        default: r#""default""#,
        right: &[("eu-1_a", r#""eu-1_a""#)],
        wrong: &["eu 1", "eu/1"],
    },
    Proof {
        key: "server.name",
        field: |c| show(&c.management.server_name),
        default: r#""""#,
        right: &[("Weir of Lucerne", r#""Weir of Lucerne""#)],
        wrong: &[],
    },
    Proof {
        key: "server.allowed_dashboard_CIDR",
        field: |c| show(&c.management.allowed_dashboard_cidr),
        default: r#""0.0.0.0/0""#,
        right: &[("127.0.0.1, 10.0.0.0/8", r#""127.0.0.1,10.0.0.0/8""#)],
        wrong: &["localhost", "10.0.0.0/33", "10.0.0.1,", "*"],
    },
    Proof {
        key: "trusted.proxies",
        field: |c| show(&c.management.trusted_proxies),
        default: r#""""#,
        right: &[("10.0.0.1,2001:db8::/32", r#""10.0.0.1,2001:db8::/32""#)],
        wrong: &["proxy.eu", "10.0.0.1;10.0.0.2"],
    },
    Proof {
        key: "server.jwtServerSecretKey",
        field: |c| {
            show(
                c.management
                    .jwt_secret_key
                    .as_ref()
                    .map(|key| key.expose().to_owned()),
            )
        },
        default: "None",
        right: &[("afw7Zz9MqvLiheA5", r#"Some("afw7Zz9MqvLiheA5")"#)],
        wrong: &[],
    },
    Proof {
        key: "server.jwksURL",
        field: |c| show(&c.management.jwks_url),
        default: "None",
        right: &[(
            "https://id.example/keys?x=1",
            r#"Some("https://id.example/keys?x=1")"#,
        )],
        wrong: &[
            "ftp://id.example/",
            "id.example",
            "https://",
            "http://a:b@id.example/",
            "http://a b/",
        ],
    },
    Proof {
        key: "cluster.key",
        field: |c| show(c.cluster.key.as_ref().map(|key| key.expose().to_owned())),
        default: "None",
        right: &[("0123456789abcdef", r#"Some("0123456789abcdef")"#)],
        wrong: &["0123456789abcde"],
    },
    Proof {
        key: "cluster.origin.nodes",
        field: |c| {
            show(
                c.cluster
                    .origin_nodes
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>(),
            )
        },
        default: "[]",
        right: &[
            ("o1", r#"["o1:5080"]"#),
            (
                "o1:81, 10.0.0.2,[::1]:82,[::2],::3",
                r#"["o1:81", "10.0.0.2:5080", "[::1]:82", "[::2]:5080", "[::3]:5080"]"#,
            ),
            ("unix:/run/o.sock", r#"["unix:/run/o.sock"]"#),
        ],
        wrong: &[
            "o1,",
            "http://o1",
            "o1:0",
            "o1:x",
            "o1:",
            "[::1",
            "unix:",
            "a b",
        ],
    },
    Proof {
        key: "db.name",
        field: |c| c.db.name.clone(),
        default: "liveapp",
        right: &[("LiveApp_1", "LiveApp_1")],
        wrong: &["a.b", "a b", "$x"],
    },
    Proof {
        key: "http.host",
        field: |c| c.http.host.to_string(),
        default: "0.0.0.0",
        right: &[
            ("localhost", "127.0.0.1"),
            ("*", "0.0.0.0"),
            ("::", "::"),
            ("[::1]", "::1"),
        ],
        wrong: &["example.org", "0.0.0.0:80", "[::1"],
    },
    Proof {
        key: "rtmp.host",
        field: |c| c.rtmp.host.to_string(),
        default: "0.0.0.0",
        right: &[("127.0.0.1", "127.0.0.1")],
        wrong: &["example.org"],
    },
    Proof {
        key: "edge.http.listen",
        field: |c| show(c.http.edge_listen.as_ref().map(ToString::to_string)),
        default: "None",
        right: &[
            ("*:81", r#"Some("0.0.0.0:81")"#),
            ("[::1]:0", r#"Some("[::1]:0")"#),
            ("unix:/run/e.sock", r#"Some("unix:/run/e.sock")"#),
            ("unix:e.sock", r#"Some("unix:conf/e.sock")"#),
        ],
        wrong: &["81", "host:81", "127.0.0.1", "unix:", "127.0.0.1:70000"],
    },
    Proof {
        key: "origin.http.listen",
        field: |c| show(c.http.origin_listen.as_ref().map(ToString::to_string)),
        default: "None",
        right: &[("localhost:82", r#"Some("127.0.0.1:82")"#)],
        wrong: &["82"],
    },
    Proof {
        key: "lb.admin.listen",
        field: |c| show(c.http.lb_admin_listen.as_ref().map(ToString::to_string)),
        default: "None",
        right: &[("unix:/run/lb.sock", r#"Some("unix:/run/lb.sock")"#)],
        wrong: &["5083"],
    },
    Proof {
        key: "origin.rtmp.listen",
        field: |c| show(c.rtmp.origin_listen),
        default: "None",
        right: &[("127.0.0.1:1", "Some(127.0.0.1:1)")],
        wrong: &["unix:/run/r.sock", "1935"],
    },
];

/// Keys that do nothing without `db.type=mongodb` or make it whole.
pub(super) const MONGO: &[Proof] = &[
    Proof {
        key: "db.host",
        field: |c| show(c.db.host.as_ref().map(|h| h.expose().to_owned())),
        default: "None",
        right: &[
            (
                "mongodb://u:p@a,b/x?replicaSet=r",
                r#"Some("mongodb://u:p@a,b/x?replicaSet=r")"#,
            ),
            (
                "mongodb+srv://c.example.org",
                r#"Some("mongodb+srv://c.example.org")"#,
            ),
            ("db1:27018, db2", r#"Some("db1:27018, db2")"#),
        ],
        wrong: &["redis://db1", "mongodb://", "a b", "db1:x"],
    },
    Proof {
        key: "db.user",
        field: |c| show(&c.db.user),
        default: "None",
        right: &[("root", r#"Some("root")"#)],
        wrong: &[],
    },
    Proof {
        key: "db.password",
        field: |c| show(c.db.password.as_ref().map(|p| p.expose().to_owned())),
        default: "None",
        right: &[(r"p=\u00e9 ", r#"Some("p=é ")"#)],
        wrong: &[],
    },
    Proof {
        key: "db.options",
        field: |c| show(c.db.options.as_ref().map(|o| o.expose().to_owned())),
        default: "None",
        right: &[(
            "replicaSet=rs0&w=majority",
            r#"Some("replicaSet=rs0&w=majority")"#,
        )],
        wrong: &["w", "w=1&", "=1"],
    },
];
