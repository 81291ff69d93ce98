//! Ant Media's `red5.properties`, unedited: the keys of its present and older files (in an order
//! and grouping of our own), with the values it ships.

use super::{config, load, warnings};
use crate::node::{LogLevel, ServerMode, Warning};

/// Keys that mean something here, with Ant Media's values.
const MAPPED: &str = "
http.host=0.0.0.0
http.port=5080
rtmp.host=0.0.0.0
rtmp.port=1935
nodeGroup=default
rtmp.max_inactivity=60000
rtmp.max_handshake_time=5000
rtmp.max_packet_size=4194304
server.cpu_limit=75
logLevel=INFO
";

/// Groups `prefix: key=value key=value …` of keys that mean nothing here.
const FOREIGN: &[(&str, &str)] = &[
    (
        "server.",
        "licence_key= market_build=false marketplace= heartbeatEnabled=true \
         kafka_brokers= memory_limit_percentage=75 \
         min_free_ram=10 free_ram=10 cpu_measurement_period_ms=1000 cpu_measurement_window_size=5 \
         srt_port=4200 origin_port=5000 statusWebHookURL= metrics_history_enabled=true",
    ),
    (
        "",
        "nativeLogLevel=ERROR useGlobalIp=false logFileSize=10MB licence.key= \
         ant.media.server.name= appIngestsSrtStreamsWithoutStreamId=LiveApp \
         srt.defaultAppName=LiveApp https.port=5443 mina.logfilter.enable=false \
         keyframe.cache.entry.max=500 war.deploy.server.check.interval=600000 \
         broadcaststream.auto.record=false broadcastream.auto.record.mp4=true \
         broadcastream.auto.record.hls=true clusterdb.host=localhost clusterdb.user= \
         clusterdb.password=",
    ),
    (
        "http.",
        "URIEncoding=UTF-8 max_keep_alive_requests=-1 max_threads=300 acceptor_thread_count=10 \
         processor_cache=150 ssl_certificate_file=conf/fullchain.pem \
         ssl_certificate_chain_file=conf/chain.pem ssl_certificate_key_file=conf/privkey.pem \
         upgradeHttp2Protocol=true",
    ),
    (
        "rtmp.",
        "io_threads=16 send_buffer_size=65536 receive_buffer_size=65536 ping_interval=1000 \
         tcp_nodelay=true tcp_keepalive=false default_server_bandwidth=10000000 \
         default_client_bandwidth=10000000 client_bandwidth_limit_type=2 \
         bandwidth_detection=false encoder_base_tolerance=5000 encoder_drop_live_future=false \
         traffic_class=-1 backlog=32 thoughput_calc_interval=15 default_acceptor=true \
         initial_pool_size=0 max_pool_size=2 max_processor_pool_size=16 \
         executor_keepalive_time=60000 scheduler.pool_size=32 \
         deadlockguard.sheduler.pool_size=16 deadlockguard.max_handling_time=2000 \
         executor.core_pool_size=4 executor.max_pool_size=128 executor.queue_capacity=256 \
         executor.queue_size_to_drop_audio_packets=0 max_handling_time=2000 \
         channel.initial.capacity=3 channel.concurrency.level=1 stream.initial.capacity=1 \
         stream.concurrency.level=1 pending.calls.initial.capacity=3 \
         pending.calls.concurrency.level=1 reserved.streams.initial.capacity=1 \
         reserved.streams.concurrency.level=1",
    ),
    (
        "rtmps.",
        "enabled=false host=0.0.0.0 port=8443 ping_interval=5000 max_inactivity=60000 \
         max_keep_alive_requests=-1 max_threads=20 acceptor_thread_count=2 processor_cache=20 \
         keystorepass=password keystorefile=conf/keystore.jks truststorepass=password \
         truststorefile=conf/truststore.jks",
    ),
    (
        "rtmpt.",
        "host=0.0.0.0 port=8088 ping_interval=5000 max_inactivity=60000 max_handshake_time=5000 \
         max_keep_alive_requests=-1 max_threads=20 acceptor_thread_count=2 processor_cache=20 \
         encoder_base_tolerance=5000 encoder_drop_live_future=true target_reponse_size=32768 \
         max_in_msg_process=166 max_queue_offer_time=125 max_queue_offer_attempts=4",
    ),
    ("ws.", "host=0.0.0.0 port=8081"),
    ("wss.", "host=0.0.0.0 port=8082"),
    ("policy.", "host=0.0.0.0 port=843"),
    (
        "proxy.",
        "source_host=127.0.0.1 source_port=1936 destination_host=127.0.0.1 destination_port=1935",
    ),
    (
        "jmx.",
        "rmi.host=localhost rmi.port=9999 rmi.sport=9998 rmi.port.remoteobjects= \
         keystorepass=password mina.monitor.enable=false mina.poll.interval=1000 \
         registry.create=true reuse.existing.server=true register.factory=true daemon=true \
         threaded=true",
    ),
    ("so.", "max.events.per.update=64 scheduler.pool_size=4"),
    ("fileconsumer.", "delayed.write=true queue.size=120"),
    (
        "subscriberstream.",
        "buffer.check.interval=5000 underrun.trigger=100",
    ),
];

fn foreign_lines() -> Vec<String> {
    let lines = |(prefix, list): &(&str, &str)| {
        list.split_whitespace()
            .map(|pair| format!("{prefix}{pair}"))
            .collect::<Vec<_>>()
    };
    FOREIGN.iter().flat_map(lines).collect()
}

#[test]
fn an_unedited_file_starts_a_node_with_one_warning() {
    let foreign = foreign_lines();
    let loaded = load(&format!(
        "# server settings\n{MAPPED}\n{}\n",
        foreign.join("\n")
    ));
    let [Warning::Foreign(named)] = loaded.warnings.as_slice() else {
        panic!("not one warning: {:?}", loaded.warnings);
    };
    let mut expected: Vec<_> = foreign
        .iter()
        .filter_map(|line| line.split('=').next())
        .collect();
    // Nothing behind the `=`, so it is as not set: these two are keys of ours otherwise.
    expected.retain(|key| !["clusterdb.user", "clusterdb.password"].contains(key));
    expected.sort_unstable();
    assert_eq!(named, &expected);
    assert_eq!(loaded.warnings[0].to_string().lines().count(), 1);

    let config = loaded.config;
    assert_eq!(config.server_mode, ServerMode::Standalone);
    assert_eq!((config.http.port, config.rtmp.port), (5080, 1935));
    assert_eq!(config.rtmp.max_inactivity_ms, 60_000);
    assert_eq!(config.rtmp.max_packet_bytes, 4 << 20);
    assert_eq!(config.log.level, LogLevel::Info);
    assert!(!config.cluster.enabled);
}

#[test]
fn its_values_map_onto_ours() {
    let config =
        config("http.port=8080\nrtmp.port=1936\nlogLevel=DEBUG\nrtmp.max_packet_size=3145728");
    assert_eq!((config.http.port, config.rtmp.port), (8080, 1936));
    assert_eq!(config.log.level, LogLevel::Debug);
    assert_eq!(config.rtmp.max_packet_bytes, 3 << 20);
    let loaded = load("server.cpu_limit=85");
    assert_eq!(loaded.config.cpu_limit_percent, 85);
}

#[test]
fn what_its_cluster_script_wrote_is_understood() {
    let uri = "clusterdb.host=mongodb://u:hunter2@db1/x\nclusterdb.user=root\n";
    let config = load(&format!("db.type=mongodb\n{uri}")).config;
    assert!(config.cluster.enabled);
    assert_eq!(
        config.db.host.unwrap().expose(),
        "mongodb://u:hunter2@db1/x"
    );
    assert_eq!(config.db.user.as_deref(), Some("root"));
    // Without db.type it would silently be a node of its own: said, with what to do.
    assert_eq!(
        warnings(uri),
        [
            "conf/node.properties:1: not used with db.type=embedded: clusterdb.host, clusterdb.user. \
          Set db.type=mongodb to use MongoDB"
        ]
    );
}

#[test]
fn a_spelling_mistake_beside_its_keys_is_still_found() {
    let errors = super::errors("rtmp.io_threads=16\nrtmp.prot=1936\nrtmp.max_packet_sise=1m");
    assert_eq!(
        errors,
        [
            "conf/node.properties:2: key \"rtmp.prot\" is not known; did you mean \"rtmp.port\"?",
            "conf/node.properties:3: key \"rtmp.max_packet_sise\" is not known; did you mean \
             \"rtmp.max_packet_size\"?",
        ]
    );
}
