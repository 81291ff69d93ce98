//! Applications' own settings.

use super::{FILE, env, errors, load, load_with, no_env};
use crate::node::{AppConfig, ConfErrors, Loaded, NodeConfig};
use std::io;
use std::path::Path;

const OWN_FILE: &str = "/apps/LiveApp/WEB-INF/red5-web.properties";

/// Loads the node's file and the own file of LiveApp.
fn with_own_file(node: &str, own: &str) -> Result<Loaded, ConfErrors> {
    let node = format!("apps.dir=/apps\n{node}");
    let read = |path: &Path| match path.to_str() {
        Some(FILE) => Ok(node.as_bytes().to_vec()),
        Some(OWN_FILE) => Ok(own.as_bytes().to_vec()),
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    NodeConfig::load(Some(Path::new(FILE)), None, no_env(), read)
}

fn live_app(config: &NodeConfig) -> (u64, u32) {
    let app = config.app("LiveApp");
    (app.hls_time_ms, app.hls_list_size)
}

#[test]
fn an_applications_own_setting_outranks_the_nodes() {
    let config = load("hls.time=4\napp.LiveApp.hlsTime=1\nhls.list.size=20").config;
    assert_eq!(live_app(&config), (1000, 20));
    let other = AppConfig {
        name: "live".to_owned(),
        hls_time_ms: 4000,
        hls_list_size: 20,
    };
    assert_eq!(config.app("live"), other);
    let config = load("app.LiveApp.settings.hlsListSize=5").config;
    assert_eq!(live_app(&config), (2000, 5));
}

#[test]
fn the_nodes_environment_does_not_outrank_an_application() {
    let text = "app.LiveApp.hlsTime=1";
    let loaded = load_with(text, None, env(&[("WEIR_HLS_TIME", "6")])).unwrap();
    assert_eq!(loaded.config.app("LiveApp").hls_time_ms, 1000);
    assert_eq!(loaded.config.app("live").hls_time_ms, 6000);
    let own = env(&[("WEIR_APP_LIVEAPP_HLSTIME", "3")]);
    let loaded = load_with(text, None, own).unwrap();
    assert_eq!(loaded.config.app("LiveApp").hls_time_ms, 3000);
}

#[test]
fn an_applications_own_file_is_read() {
    let own = "settings.hlsTime=1.5\nhlsListSize=8\nmp4MuxingEnabled=true\nwebapp.contextPath=/x\n\
               db.type=mapdb\nwebhookAuthenticateURL=";
    let loaded = with_own_file("hls.time=4", own).unwrap();
    assert_eq!(live_app(&loaded.config), (1500, 8));
    assert_eq!(loaded.config.app("live").hls_time_ms, 4000);
    assert_eq!(loaded.warnings.len(), 1, "{:?}", loaded.warnings);
    assert_eq!(
        loaded.warnings[0].to_string(),
        "4 of Ant Media's keys have no meaning here and are not used: LiveApp: db.type, LiveApp: \
         mp4MuxingEnabled, LiveApp: webapp.contextPath, LiveApp: webhookAuthenticateURL"
    );
    // The node's file is nearer to who starts the node.
    let loaded = with_own_file("app.LiveApp.hlsTime=3", own).unwrap();
    assert_eq!(live_app(&loaded.config), (3000, 8));
}

#[test]
fn mistakes_in_an_own_file_name_it() {
    let errors = with_own_file("", "x=1\nhlsTim=2\nhlsListSize=2")
        .unwrap_err()
        .to_string();
    assert_eq!(
        errors,
        format!(
            "{OWN_FILE}:2: key \"hlsTim\" is not known; did you mean \"hlsTime\"?\n\
             {OWN_FILE}:3: hlsListSize is \"2\"; expected a whole number of segments from 3 to 1000"
        )
    );
}

#[test]
fn an_own_file_that_cannot_be_read_is_an_error() {
    let read = |path: &Path| match path.to_str() {
        Some(FILE) => Ok(b"apps.dir=/apps\napps=LiveApp".to_vec()),
        _ => Err(io::Error::from(io::ErrorKind::PermissionDenied)),
    };
    let errors = NodeConfig::load(Some(Path::new(FILE)), None, no_env(), read).unwrap_err();
    assert_eq!(
        errors.to_string(),
        format!("{OWN_FILE}: cannot be read: permission denied")
    );
}

#[test]
fn app_keys_need_a_known_application_and_key() {
    assert_eq!(
        errors("app.Nowhere.hlsTime=1\napp.LiveApp.hlstime=1\napp.LiveApp.webRTCViewerLimit=x"),
        [
            "conf/node.properties:1: key \"app.Nowhere.hlsTime\": there is no application \
             \"Nowhere\"; `apps` lists LiveApp, WebRTCAppEE, live",
            "conf/node.properties:2: key \"app.LiveApp.hlstime\" is not known; did you mean \
             \"app.LiveApp.hlsTime\"?",
            "conf/node.properties:3: app.LiveApp.webRTCViewerLimit is \"x\"; expected a whole \
             number of viewers (-1 = any number) from -1 to 100000000",
        ]
    );
    let kept = load("app.LiveApp.settings.mp4MuxingEnabled=true").config;
    assert!(kept.app_settings("LiveApp").mp4_muxing_enabled());
    assert!(!kept.app_settings("live").mp4_muxing_enabled());
    // Also when `apps` comes after.
    assert_eq!(
        load("app.shop.hlsTime=1\napps=shop")
            .config
            .app("shop")
            .hls_time_ms,
        1000
    );
    assert_eq!(errors("app.LiveApp=1").len(), 1);
    assert_eq!(errors("app.=1").len(), 1);
}

#[test]
fn a_variable_that_could_mean_two_applications_is_refused() {
    let vars = env(&[("WEIR_APP_LIVE_HLSTIME", "1")]);
    let errors = load_with("apps=live,LIVE", None, vars)
        .unwrap_err()
        .to_string();
    assert_eq!(
        errors,
        "environment variable WEIR_APP_LIVE_HLSTIME: could mean any of the applications live, \
         LIVE; set it in the file instead"
    );
}
