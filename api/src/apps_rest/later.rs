//! Calls of Ant Media's that this version answers, but does not act upon.
//!
//! What Ant Media answers with a `Result` is answered with one that says `success: false` and why, with HTTP 200 as
//! Ant Media does for commands that failed: its clients look at `success`. What it answers with a list is an empty one.

use crate::error::ApiError;
use crate::extract::UrlPath;
use crate::openapi::Refusals;
use crate::state::Shared;
use crate::wire::ResultJson;
use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;

/// The path's values by name.
type Values = UrlPath<HashMap<String, String>>;

/// A command that is refused.
macro_rules! refused {
    ($($name:ident $method:ident $path:literal ($($param:literal)*) $what:literal;)*) => {$(
        #[doc = concat!("Not in this version: ", $what, ".")]
        #[utoipa::path($method, path = $path, tag = "not in this version",
            params($(($param = String, Path)),*),
            responses((status = 200, body = ResultJson, description = "success is false"), Refusals))]
        pub(crate) async fn $name(
            State(shared): State<Arc<Shared>>,
            UrlPath(values): Values,
        ) -> Result<ResultJson, ApiError> {
            shared.known_app(&values)?;
            Ok(ResultJson::failed(concat!("nothing was done: ", $what, " is not available in this version").to_owned()))
        }
    )*};
}

/// A question whose answer is always the same.
macro_rules! answered {
    ($($name:ident $path:literal ($($param:literal)*) $what:literal $answer:tt;)*) => {$(
        #[doc = concat!("Not in this version, so nothing to tell: ", $what, ".")]
        #[utoipa::path(get, path = $path, tag = "not in this version",
            params($(($param = String, Path)),*), responses((status = 200, body = Value), Refusals))]
        pub(crate) async fn $name(
            State(shared): State<Arc<Shared>>,
            UrlPath(values): Values,
        ) -> Result<Json<Value>, ApiError> {
            shared.known_app(&values)?;
            Ok(Json(json!($answer)))
        }
    )*};
}

refused! {
    endpoint_add post "/{app}/rest/v2/broadcasts/{id}/endpoint" ("id") "publishing to other servers";
    endpoint_remove delete "/{app}/rest/v2/broadcasts/{id}/endpoint" ("id") "publishing to other servers";
    rtmp_endpoint_add post "/{app}/rest/v2/broadcasts/{id}/rtmp-endpoint" ("id") "publishing to other servers";
    rtmp_endpoint_remove delete "/{app}/rest/v2/broadcasts/{id}/rtmp-endpoint" ("id") "publishing to other servers";
    recording put "/{app}/rest/v2/broadcasts/{id}/recording/{on}" ("id" "on") "recording";
    seek put "/{app}/rest/v2/broadcasts/{id}/seek-time/{ms}" ("id" "ms") "seeking in a source";
    playlist_next post "/{app}/rest/v2/broadcasts/playlists/{id}/next" ("id") "the playlist";
    duration get "/{app}/rest/v2/broadcasts/duration" () "measuring a file's duration";
    camera_error get "/{app}/rest/v2/broadcasts/{id}/ip-camera-error" ("id") "the IP camera";
    camera_move post "/{app}/rest/v2/broadcasts/{id}/ip-camera/move" ("id") "the IP camera";
    camera_stop post "/{app}/rest/v2/broadcasts/{id}/ip-camera/stop-move" ("id") "the IP camera";
    data post "/{app}/rest/v2/broadcasts/{id}/data" ("id") "the data channel";
    id3 post "/{app}/rest/v2/broadcasts/{id}/id3" ("id") "timed metadata (ID3)";
    sei post "/{app}/rest/v2/broadcasts/{id}/sei" ("id") "timed metadata (SEI)";
    hls_to_mp4 post "/{app}/rest/v2/broadcasts/{id}/hls-to-mp4" ("id") "turning HLS into MP4";
    vod_upload post "/{app}/rest/v2/vods/create" () "uploading recordings";
    vod_directory post "/{app}/rest/v2/vods/directory" () "importing recordings";
    vod_directory_remove delete "/{app}/rest/v2/vods/directory" () "importing recordings";
    push_token get "/{app}/rest/v2/push-notification/subscriber-auth-token" () "push notification";
    push_subscribers post "/{app}/rest/v2/push-notification/subscribers" () "push notification";
    push_topic post "/{app}/rest/v2/push-notification/topics/{topic}" ("topic") "push notification";
}

answered! {
    onvif "/{app}/rest/v2/broadcasts/onvif-devices" () "cameras in the network" [];
    camera_profiles "/{app}/rest/v2/broadcasts/{id}/ip-camera/device-profiles" ("id") "a camera's profiles" [];
    subscriber_stats "/{app}/rest/v2/broadcasts/{id}/subscriber-stats/list/{offset}/{size}" ("id" "offset" "size")
        "figures of subscribers" [];
    webrtc_send "/{app}/rest/v2/broadcasts/webrtc-send-low-level-stats" () "WebRTC"
        {"audioSendStats": [], "videoSendStats": []};
    webrtc_receive "/{app}/rest/v2/broadcasts/webrtc-receive-low-level-stats" () "WebRTC"
        {"audioReceiveStats": [], "videoReceiveStats": []};
    history "/{app}/rest/v2/broadcasts/{id}/metrics-history" ("id") "a stream's figures over time"
        {"bitrate": [], "viewers": [], "speed": [], "encoderQueueSize": [], "droppedPackets": [],
         "droppedFrames": [], "packetLostRatio": []};
}

impl Shared {
    fn known_app(&self, values: &HashMap<String, String>) -> Result<(), ApiError> {
        let name = values.get("app").map_or("", String::as_str);
        self.app(name).map(|_| ())
    }
}
