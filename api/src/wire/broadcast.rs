//! A stream as Ant Media's `Broadcast`: every key that its servers send, in its spelling, nulls included.

use crate::state::NodeInfo;
use serde::Serialize;
use utoipa::ToSchema;
use weir_cluster::{AppName, Broadcast, BroadcastStatus, PublishType};

/// A stream.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Broadcast)]
pub(crate) struct BroadcastJson {
    stream_id: String,
    #[schema(value_type = String)]
    status: BroadcastStatus,
    #[schema(value_type = Option<String>)]
    publish_type: Option<PublishType>,
    name: Option<String>,
    zombi: bool,
    date: i64,
    start_time: i64,
    absolute_start_time_ms: i64,
    update_time: i64,
    duration: i64,
    bitrate: i64,
    received_bytes: i64,
    width: u32,
    height: u32,
    speed: f64,
    origin_adress: Option<String>,
    remote_ip: Option<String>,
    user_agent: String,
    #[serde(rename = "rtmpURL")]
    rtmp_url: String,
    #[serde(flatten)]
    rest: Unused,
}

/// Keys that nothing fills in this version: always the value of a fresh record of Ant Media's.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Unused {
    r#type: &'static str,
    play_list_status: Null,
    description: Null,
    publish: bool,
    planned_start_date: u8,
    planned_end_date: u8,
    end_point_list: Null,
    play_list_item_list: Null,
    public_stream: bool,
    is_360: bool,
    #[serde(rename = "listenerHookURL")]
    listener_hook_url: Null,
    category: Null,
    ip_addr: Null,
    username: Null,
    password: Null,
    quality: Null,
    stream_url: Null,
    mp4_enabled: i8,
    web_m_enabled: i8,
    seek_time_in_ms: u8,
    subtracks_limit: i8,
    #[serde(rename = "expireDurationMS")]
    expire_duration_ms: u8,
    pending_packet_size: u8,
    hls_viewer_count: u8,
    dash_viewer_count: u8,
    #[serde(rename = "webRTCViewerCount")]
    webrtc_viewer_count: u8,
    rtmp_viewer_count: u8,
    encoder_queue_size: u8,
    drop_packet_count_in_ingestion: u8,
    drop_frame_count_in_encoding: u8,
    packet_lost_ratio: f32,
    packets_lost: u8,
    jitter_ms: u8,
    rtt_ms: u8,
    latitude: Null,
    longitude: Null,
    altitude: Null,
    main_track_stream_id: Null,
    #[serde(rename = "webRTCViewerLimit")]
    webrtc_viewer_limit: i8,
    hls_viewer_limit: i8,
    dash_viewer_limit: i8,
    sub_folder: Null,
    current_play_index: u8,
    meta_data: Null,
    playlist_loop_enabled: bool,
    role: Null,
    hls_parameters: Null,
    auto_start_stop_enabled: bool,
    encoder_settings_list: Null,
    r#virtual: bool,
    max_idle_time: u8,
    anyone_watching: bool,
}

/// Serialises as null.
type Null = Option<bool>;

const UNUSED: Unused = Unused {
    r#type: "liveStream",
    play_list_status: None,
    description: None,
    publish: true,
    planned_start_date: 0,
    planned_end_date: 0,
    end_point_list: None,
    play_list_item_list: None,
    public_stream: true,
    is_360: false,
    listener_hook_url: None,
    category: None,
    ip_addr: None,
    username: None,
    password: None,
    quality: None,
    stream_url: None,
    mp4_enabled: 0,
    web_m_enabled: 0,
    seek_time_in_ms: 0,
    subtracks_limit: -1,
    expire_duration_ms: 0,
    pending_packet_size: 0,
    hls_viewer_count: 0,
    dash_viewer_count: 0,
    webrtc_viewer_count: 0,
    rtmp_viewer_count: 0,
    encoder_queue_size: 0,
    drop_packet_count_in_ingestion: 0,
    drop_frame_count_in_encoding: 0,
    packet_lost_ratio: 0.0,
    packets_lost: 0,
    jitter_ms: 0,
    rtt_ms: 0,
    latitude: None,
    longitude: None,
    altitude: None,
    main_track_stream_id: None,
    webrtc_viewer_limit: -1,
    hls_viewer_limit: -1,
    dash_viewer_limit: -1,
    sub_folder: None,
    current_play_index: 0,
    meta_data: None,
    playlist_loop_enabled: true,
    role: None,
    hls_parameters: None,
    auto_start_stop_enabled: false,
    encoder_settings_list: None,
    r#virtual: false,
    max_idle_time: 0,
    anyone_watching: false,
};

impl BroadcastJson {
    /// The record as seen at `now_ms` by `node`.
    pub(crate) fn new(app: &AppName, record: &Broadcast, node: &NodeInfo, now_ms: i64) -> Self {
        let rtmp = node.rtmp.base_url(&node.ip);
        let origin = record.origin_adress.as_deref();
        Self {
            stream_id: record.stream_id.clone(),
            status: record.status_at(now_ms),
            publish_type: record.publish_type,
            name: record.name.clone(),
            zombi: record.zombi,
            date: record.date,
            start_time: record.start_time,
            absolute_start_time_ms: record.start_time,
            update_time: record.update_time,
            duration: record.duration,
            bitrate: record.bitrate,
            received_bytes: record.received_bytes,
            width: record.width,
            height: record.height,
            speed: speed(record.speed_milli),
            origin_adress: origin.map(|address| host_of(address, node).to_owned()),
            remote_ip: record.remote_ip.clone(),
            user_agent: record
                .user_agent
                .clone()
                .unwrap_or_else(|| "N/A".to_owned()),
            rtmp_url: format!("{rtmp}/{app}/{}", record.stream_id),
            rest: UNUSED,
        }
    }
}

/// The state's name on the wire, to sort by.
pub(crate) fn status_name(status: BroadcastStatus) -> &'static str {
    match status {
        BroadcastStatus::Created => "created",
        BroadcastStatus::Preparing => "preparing",
        BroadcastStatus::Broadcasting => "broadcasting",
        BroadcastStatus::Finished => "finished",
        BroadcastStatus::TerminatedUnexpectedly => "terminated_unexpectedly",
    }
}

/// Thousandths as a ratio.
fn speed(milli: i64) -> f64 {
    let milli = i32::try_from(milli).unwrap_or(if milli < 0 { i32::MIN } else { i32::MAX });
    f64::from(milli) / 1000.0
}

/// The host in an object address: Ant Media's clients expect no port, and a path of this machine concerns nobody.
fn host_of<'a>(address: &'a str, node: &'a NodeInfo) -> &'a str {
    if address.starts_with("unix:") {
        return &node.ip;
    }
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.strip_prefix('[')
        .and_then(|v6| v6.strip_suffix(']'))
        .unwrap_or(host)
}
