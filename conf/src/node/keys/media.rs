//! Keys of what flows through the node: publishing, HLS, the cache, the encoder, applications.

use super::super::kind::Kind;
use super::{DefaultValue, Key, Section};
use crate::app::AppSettings;

/// `hls.time` and `hlsTime` share one range, so do the list sizes.
const HLS_TIME_MS_MIN: u64 = 500;
const HLS_TIME_MS_MAX: u64 = 30_000;
/// RFC 8216 section 6.2.2: a live playlist never drops below three target durations.
const HLS_LIST_SIZE_MIN: u32 = 3;
const HLS_LIST_SIZE_MAX: u32 = 1000;

pub(super) const PUBLISH: Section = Section {
    title: "Publishing",
    keys: &[
        Key {
            name: "publish.grace",
            aliases: &[],
            default: DefaultValue::Is("10"),
            doc: "How long a stream whose publisher's connection was lost waits for it. A publisher \
                  back in time goes on in the same playlist; after it the playlist is ended. 0 ends \
                  it at once. An edge goes on as long, and 3 seconds more, with the last playlist \
                  of a stream whose origin died.",
            kind: Kind::Seconds {
                min_ms: 0,
                max_ms: 3_600_000,
                put: |c, v| c.publish_grace_ms = v,
            },
        },
        Key {
            name: "rtmp.proxy_protocol",
            aliases: &[],
            default: DefaultValue::Unset("true behind an lb in the same process, else false"),
            doc: "Whether each RTMP connection to the origin starts with a PROXY protocol header, \
                  from which it takes the encoder's address. With `true`, connections without it \
                  are refused.",
            kind: Kind::Flag(|c, v| c.rtmp.proxy_protocol = Some(v)),
        },
        Key {
            name: "rtmp.max.connections",
            aliases: &[],
            default: DefaultValue::Is("1000"),
            doc: "The most RTMP connections the origin keeps open; one more is closed at once.",
            kind: Kind::Whole {
                min: 1,
                max: 100_000,
                unit: "connections",
                put: |c, v| c.rtmp.max_connections = v,
            },
        },
        Key {
            name: "rtmp.max.connections.per.address",
            aliases: &[],
            default: DefaultValue::Is("0"),
            doc: "Of those, the most from one address, so that one peer cannot take every place; 0 \
                  = no such limit. Encoders behind one router share an address; behind a load \
                  balancer without the PROXY protocol all do.",
            kind: Kind::Whole {
                min: 0,
                max: 100_000,
                unit: "connections",
                put: |c, v| c.rtmp.max_connections_per_address = v,
            },
        },
        Key {
            name: "rtmp.max_handshake_time",
            aliases: &[],
            default: DefaultValue::Is("5000"),
            doc: "A client that has not finished the RTMP handshake by then is closed.",
            kind: Kind::Millis {
                min: 100,
                max: 600_000,
                put: |c, v| c.rtmp.max_handshake_ms = v,
            },
        },
        Key {
            name: "rtmp.max_inactivity",
            aliases: &[],
            default: DefaultValue::Is("10000"),
            doc: "A client that sends nothing for this long is closed, as if its connection were \
                  lost.",
            kind: Kind::Millis {
                min: 1000,
                max: 3_600_000,
                put: |c, v| c.rtmp.max_inactivity_ms = v,
            },
        },
        Key {
            name: "rtmp.max_packet_size",
            aliases: &[],
            default: DefaultValue::Is("4m"),
            doc: "The largest RTMP message taken; a client that announces a larger one is closed.",
            kind: Kind::Bytes {
                min: 64 << 10,
                max: 64 << 20,
                put: |c, v| c.rtmp.max_packet_bytes = v,
            },
        },
    ],
};

pub(super) const HLS: Section = Section {
    title: "HLS",
    keys: &[
        Key {
            name: "hls.time",
            aliases: &["hlsTime", "settings.hlsTime"],
            default: DefaultValue::Is("2"),
            doc: "The duration segments are cut at: each starts at the first key frame from the \
                  next multiple of it. An application's `hlsTime` outranks it.",
            kind: Kind::Seconds {
                min_ms: HLS_TIME_MS_MIN,
                max_ms: HLS_TIME_MS_MAX,
                put: |c, v| c.hls_time_ms = v,
            },
        },
        Key {
            name: "hls.list.size",
            aliases: &["hlsListSize", "settings.hlsListSize"],
            default: DefaultValue::Is("15"),
            doc: "How many segments a live playlist names and the origin keeps. An application's \
                  `hlsListSize` outranks it.",
            kind: Kind::Whole {
                min: HLS_LIST_SIZE_MIN,
                max: HLS_LIST_SIZE_MAX,
                unit: "segments",
                put: |c, v| c.hls_list_size = v,
            },
        },
        Key {
            name: "hls.ended.linger",
            aliases: &[],
            default: DefaultValue::Is("60"),
            doc: "How long the playlist and segments of an ended stream are still served; after it \
                  they are 404.",
            kind: Kind::Seconds {
                min_ms: 0,
                max_ms: 86_400_000,
                put: |c, v| c.hls_ended_linger_ms = v,
            },
        },
    ],
};

pub(super) const CACHE: Section = Section {
    title: "Cache",
    keys: &[
        Key {
            name: "cache.enabled",
            aliases: &[],
            default: DefaultValue::Is("true"),
            doc: "Whether the edge keeps what it fetched. `false`: every request goes to the \
                  origin, one fetch each, nothing is kept or shared.",
            kind: Kind::Flag(|c, v| c.cache.enabled = v),
        },
        Key {
            name: "cache.ttl",
            aliases: &[],
            default: DefaultValue::Unset("the origin's `max-age` holds"),
            doc: "How long the edge keeps a playlist, in place of the `max-age` the origin gave \
                  it. 0 asks the origin each time, in one fetch for all who ask at once. Segments \
                  never change and keep the origin's time.",
            kind: Kind::Seconds {
                min_ms: 0,
                max_ms: 60_000,
                put: |c, v| c.cache.playlist_ttl_ms = Some(v),
            },
        },
        Key {
            name: "cache.max.bytes",
            aliases: &[],
            default: DefaultValue::Is("512m"),
            doc: "The most memory the edge's cache takes for bodies; the least used go first.",
            kind: Kind::Bytes {
                min: 1 << 20,
                max: 1 << 40,
                put: |c, v| c.cache.max_bytes = v,
            },
        },
        Key {
            name: "metadata.cache.enabled",
            aliases: &[],
            default: DefaultValue::Is("true"),
            doc: "Whether a node remembers which origin has which stream. `false`: the directory \
                  asks the store each time, which costs a query for every miss of the cache.",
            kind: Kind::Flag(|c, v| c.cache.metadata_enabled = v),
        },
    ],
};

pub(super) const ENCODER: Section = Section {
    title: "Encoder",
    keys: &[
        Key {
            name: "encoder.thread.count",
            aliases: &[],
            default: DefaultValue::Is("0"),
            doc: "Threads of one video encoder; 0 lets the encoder choose. Kept and shown; this \
                  version runs no transcoder.",
            kind: Kind::Whole {
                min: 0,
                max: 256,
                unit: "threads",
                put: |c, v| c.encoder.thread_count = v,
            },
        },
        Key {
            name: "encoder.gpu.enabled",
            aliases: &[],
            default: DefaultValue::Is("false"),
            doc: "Whether video is encoded on a GPU where there is one. Kept and shown; this version \
                  runs no transcoder.",
            kind: Kind::Flag(|c, v| c.encoder.gpu_enabled = v),
        },
    ],
};

pub(super) const APP_KEYS: &[Key<AppSettings>] = &[
    Key {
        name: "hlsTime",
        aliases: &["settings.hlsTime"],
        default: DefaultValue::Unset("`hls.time`"),
        doc: "The application's own `hls.time`.",
        kind: Kind::Seconds {
            min_ms: HLS_TIME_MS_MIN,
            max_ms: HLS_TIME_MS_MAX,
            put: AppSettings::put_hls_time_ms,
        },
    },
    Key {
        name: "hlsListSize",
        aliases: &["settings.hlsListSize"],
        default: DefaultValue::Unset("`hls.list.size`"),
        doc: "The application's own `hls.list.size`.",
        kind: Kind::Whole {
            min: HLS_LIST_SIZE_MIN,
            max: HLS_LIST_SIZE_MAX,
            unit: "segments",
            put: AppSettings::put_hls_list_size,
        },
    },
];
