//! `WEIR_` variables.

use super::{env, errors_with, load_with, no_env};
use crate::node::env::variable;
use crate::node::keys::{self, Key};
use crate::node::{Loaded, Place, Warning};
use std::collections::BTreeSet;

fn with(text: &str, pairs: &[(&str, &str)]) -> Loaded {
    load_with(text, None, env(pairs)).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn a_variable_outranks_the_file() {
    let loaded = with(
        "hls.time=3\nhls.list.size=7",
        &[("WEIR_HLS_TIME", "4"), ("PATH", "/bin")],
    );
    assert_eq!(loaded.config.hls_time_ms, 4000);
    assert_eq!(loaded.config.hls_list_size, 7);
    assert_eq!(loaded.warnings, []);
}

#[test]
fn variables_without_a_file_are_enough() {
    let vars = env(&[("WEIR_RTMP_MAX_PACKET_SIZE", "1m")]);
    let read = |_: &std::path::Path| -> std::io::Result<Vec<u8>> { panic!("there is no file") };
    let loaded = crate::node::NodeConfig::load(None, None, vars, read).unwrap();
    assert_eq!(loaded.config.rtmp.max_packet_bytes, 1 << 20);
}

#[test]
fn every_key_has_a_variable_of_its_own() {
    assert_eq!(variable("hls.time"), "WEIR_HLS_TIME");
    assert_eq!(
        variable("rtmp.max_packet_size"),
        "WEIR_RTMP_MAX_PACKET_SIZE"
    );
    assert_eq!(variable("app.LiveApp.hlsTime"), "WEIR_APP_LIVEAPP_HLSTIME");
    let mut seen = BTreeSet::new();
    for spelling in keys::all().flat_map(Key::spellings) {
        assert!(
            seen.insert(variable(spelling)),
            "{spelling} shares its variable"
        );
        assert!(
            !spelling.starts_with("app."),
            "{spelling} reads as an application's"
        );
    }
}

#[test]
fn an_unknown_variable_names_the_nearest() {
    assert_eq!(
        errors_with(
            "",
            env(&[("WEIR_HLS_TIMES", "4"), ("WEIR_FROBNICATE", "1")])
        ),
        [
            "environment variable WEIR_FROBNICATE: key \"WEIR_FROBNICATE\" is not known",
            "environment variable WEIR_HLS_TIMES: key \"WEIR_HLS_TIMES\" is not known; did you \
             mean \"WEIR_HLS_TIME\"?",
        ]
    );
    assert_eq!(
        errors_with("", env(&[("WEIR_APP_LIVEAPP_HLSTIM", "4")])),
        [
            "environment variable WEIR_APP_LIVEAPP_HLSTIM: key \"WEIR_APP_LIVEAPP_HLSTIM\" is not \
          known; did you mean \"WEIR_APP_LIVEAPP_HLSTIME\"?"
        ]
    );
}

#[test]
fn a_bad_value_names_the_variable() {
    assert_eq!(
        errors_with("", env(&[("WEIR_HLS_TIME", "4s")])),
        [
            "environment variable WEIR_HLS_TIME: WEIR_HLS_TIME is \"4s\"; expected a number of \
          seconds from 0.5 to 30, without a unit"
        ]
    );
}

#[test]
fn an_empty_variable_is_as_none() {
    assert_eq!(
        with("hls.time=3", &[("WEIR_HLS_TIME", "")])
            .config
            .hls_time_ms,
        3000
    );
}

#[test]
fn other_spellings_have_variables_and_two_at_once_are_warned_of() {
    assert_eq!(with("", &[("WEIR_HLSTIME", "3")]).config.hls_time_ms, 3000);
    let loaded = with("", &[("WEIR_HLS_TIME", "4"), ("WEIR_HLSTIME", "3")]);
    assert_eq!(
        loaded.warnings,
        [Warning::Repeated {
            place: Place::Environment("WEIR_HLS_TIME".to_owned()),
            key: "hls.time".to_owned(),
            earlier: Place::Environment("WEIR_HLSTIME".to_owned()),
        }]
    );
    assert_eq!(loaded.config.hls_time_ms, 4000);
}

#[test]
fn kubernetes_service_links_are_no_settings() {
    let links = [
        ("WEIR_SERVICE_HOST", "10.0.0.1"),
        ("WEIR_SERVICE_PORT", "5080"),
        ("WEIR_SERVICE_PORT_HTTP", "5080"),
        ("WEIR_PORT", "tcp://10.0.0.1:5080"),
        ("WEIR_PORT_5080_TCP", "tcp://10.0.0.1:5080"),
        ("WEIR_PORT_5080_TCP_ADDR", "10.0.0.1"),
        ("WEIR_HTTP_SERVICE_HOST", "10.0.0.2"),
        ("WEIR_HTTP_PORT", "tcp://10.0.0.2:80"),
        ("WEIR_EDGE_PORT_80_TCP_PROTO", "tcp"),
    ];
    let loaded = with("", &links);
    assert_eq!(loaded, load_with("", None, no_env()).unwrap());
    assert_eq!(
        with("", &[("WEIR_HTTP_PORT", "8080")]).config.http.port,
        8080
    );
}

#[test]
fn relative_paths_start_from_where_they_were_written() {
    let of_file = load_with("lb.conf=my.conf\ndata.dir=/abs", None, no_env()).unwrap();
    assert_eq!(
        of_file.config.lb_conf.unwrap().to_str(),
        Some("conf/my.conf")
    );
    assert_eq!(of_file.layout.data_dir.to_str(), Some("/abs"));
    let of_env = with("", &[("WEIR_LB_CONF", "my.conf")]);
    assert_eq!(of_env.config.lb_conf.unwrap().to_str(), Some("my.conf"));
}
