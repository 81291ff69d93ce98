//! Keys of the store.

use super::super::kind::Kind;
use super::super::types::{DbHost, DbType, Secret};
use super::{DefaultValue, Key, Section, TEXT_BYTES_MAX, name, put};

/// MongoDB's limit.
const DB_NAME_BYTES_MAX: usize = 63;

pub(super) const STORE: Section = Section {
    title: "Store",
    keys: &[
        Key {
            name: "db.type",
            aliases: &[],
            default: DefaultValue::Is("embedded"),
            doc: "Where streams and nodes are kept. `embedded` (Ant Media's `mapdb` means the same): \
                  a file in `data.dir`, for this process alone. `mongodb`: the cluster's store.",
            kind: Kind::Other {
                name: "word",
                expected: "embedded (or mapdb) or mongodb",
                put: |c, w| put(&mut c.db.kind, db_type(w.text)),
            },
        },
        Key {
            name: "db.host",
            aliases: &["clusterdb.host"],
            default: DefaultValue::Unset("needed with `db.type=mongodb`, not used otherwise"),
            doc: "The MongoDB servers. Credentials in a URI are never logged.",
            kind: Kind::Hidden {
                name: "address",
                expected: "mongodb://…, mongodb+srv://…, or host or host:port (several with commas)",
                put: |c, w| put(&mut c.db.host, DbHost::parse(w.text.trim()).map(Some)),
            },
        },
        Key {
            name: "db.name",
            aliases: &[],
            default: DefaultValue::Is("liveapp"),
            doc: "The MongoDB database of the application LiveApp. Every other application has one of its own name in lower case, as Ant Media's have.",
            kind: Kind::Other {
                name: "text",
                expected: "1 to 63 letters, digits, '_' or '-'",
                put: |c, w| put(&mut c.db.name, name(w.text, DB_NAME_BYTES_MAX)),
            },
        },
        Key {
            name: "db.user",
            aliases: &["clusterdb.user"],
            default: DefaultValue::Unset("that of `db.host`, if any"),
            doc: "The MongoDB user.",
            kind: Kind::Other {
                name: "text",
                expected: "a user's name of at most 4096 bytes",
                put: |c, w| put(&mut c.db.user, text(w.text).map(Some)),
            },
        },
        Key {
            name: "db.password",
            aliases: &["clusterdb.password"],
            default: DefaultValue::Unset("that of `db.host`, if any"),
            doc: "The MongoDB user's password. It is never logged; the environment variable \
                  `WEIR_DB_PASSWORD` keeps it out of files.",
            kind: Kind::Hidden {
                name: "secret",
                expected: "a password of at most 4096 bytes",
                put: |c, w| {
                    put(
                        &mut c.db.password,
                        text(w.text).map(|t| Some(Secret::new(&t))),
                    )
                },
            },
        },
        Key {
            name: "db.options",
            aliases: &[],
            default: DefaultValue::Unset("those of `db.host`, if any"),
            doc: "Options of MongoDB's connection string, such as `replicaSet=rs0&w=majority`. \
                  Never logged, for some hold secrets.",
            kind: Kind::Hidden {
                name: "text",
                expected: "name=value, several with & between them",
                put: |c, w| put(&mut c.db.options, db_options(w.text.trim()).map(Some)),
            },
        },
        Key {
            name: "db.changes.watched",
            aliases: &[],
            default: DefaultValue::Is("true"),
            doc: "Whether this node has MongoDB tell it of changes, where the server can (a replica \
                  set). `false`: it asks once a second, for a server that must not be watched.",
            kind: Kind::Flag(|c, v| c.db.changes_watched = v),
        },
    ],
};

fn db_type(text: &str) -> Option<DbType> {
    match text {
        "embedded" | "mapdb" => Some(DbType::Embedded),
        "mongodb" => Some(DbType::MongoDb),
        _ => None,
    }
}

fn text(text: &str) -> Option<String> {
    (text.len() <= TEXT_BYTES_MAX).then(|| text.to_owned())
}

fn db_options(text: &str) -> Option<Secret> {
    let pair = |p: &str| {
        p.split_once('=')
            .is_some_and(|(k, v)| !k.is_empty() && !v.is_empty())
    };
    let right = text.len() <= TEXT_BYTES_MAX && text.split('&').all(pair);
    right.then(|| Secret::new(text))
}
