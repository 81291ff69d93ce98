//! The table of an application's settings: Ant Media's `AppSettings`, all of it.
//!
//! A row has what the value may be, with bounds and unit; the method that reads it; the name in a
//! properties file; the name in JSON and in the store where that is another; the default. This is
//! the one place that says any of these.

use super::AppSettings;
use super::kind::{self, Kind};
use serde_json::Value;

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// Its name in a properties file.
    pub name: &'static str,
    /// Its name in JSON and in the store.
    pub json: &'static str,
    /// Other names it is read by.
    pub aliases: &'static [&'static str],
    /// What it may be.
    pub kind: Kind,
    /// Its default, as in a properties file.
    pub default: &'static str,
}

/// The setting of this name: of a properties file, with or without `settings.` before it, or of
/// JSON.
#[must_use]
pub fn find(name: &str) -> Option<&'static Setting> {
    position(name).and_then(|at| SETTINGS.get(at))
}

pub(super) fn position(name: &str) -> Option<usize> {
    let name = name.strip_prefix("settings.").unwrap_or(name);
    let called = |s: &Setting| s.name == name || s.json == name || s.aliases.contains(&name);
    SETTINGS.iter().position(called)
}

macro_rules! settings {
    ($(
        $kind:ident($($bound:expr),*) $method:ident $name:literal
        $(json $json:literal)? $(also [$($alias:literal),*])? = $default:literal;
    )*) => {
        /// Every setting.
        pub static SETTINGS: &[Setting] = &[$(Setting {
            name: $name,
            json: settings!(@json $name $($json)?),
            aliases: &[$($($alias),*)?],
            kind: kind::$kind($($bound),*),
            default: $default,
        }),*];

        #[allow(non_camel_case_types, reason = "named after the methods")]
        #[derive(Clone, Copy)]
        enum Row { $($method),* }

        impl AppSettings {
            $(settings!(@get $kind $method $name);)*
        }
    };
    (@json $name:literal) => { $name };
    (@json $name:literal $json:literal) => { $json };
    (@get flag $method:ident $name:literal) => {
        #[doc = concat!("`", $name, "`.")]
        #[must_use]
        pub fn $method(&self) -> bool {
            self.value(Row::$method as usize).as_bool().unwrap_or_default()
        }
    };
    (@get object $method:ident $name:literal) => {
        #[doc = concat!("`", $name, "`.")]
        #[must_use]
        pub fn $method(&self) -> &Value {
            self.value(Row::$method as usize)
        }
    };
    (@get whole $method:ident $name:literal) => {
        #[doc = concat!("`", $name, "`, in the unit that [`SETTINGS`] says.")]
        #[must_use]
        pub fn $method(&self) -> i64 {
            kind::to_whole(self.value(Row::$method as usize)).unwrap_or_default()
        }
    };
    (@get text_whole $method:ident $name:literal) => {
        settings!(@get whole $method $name);
    };
    (@get decimal $method:ident $name:literal) => {
        #[doc = concat!("`", $name, "`, in the unit that [`SETTINGS`] says.")]
        #[must_use]
        pub fn $method(&self) -> f64 {
            kind::to_decimal(self.value(Row::$method as usize)).unwrap_or_default()
        }
    };
    (@get text_decimal $method:ident $name:literal) => {
        settings!(@get decimal $method $name);
    };
    (@get $kind:ident $method:ident $name:literal) => {
        #[doc = concat!("`", $name, "`.")]
        #[must_use]
        pub fn $method(&self) -> &str {
            self.value(Row::$method as usize).as_str().unwrap_or_default()
        }
    };
}

settings! {
    // Recording and files.
    flag() mp4_muxing_enabled "mp4MuxingEnabled" = "false";
    flag() webm_muxing_enabled "webMMuxingEnabled" = "false";
    flag() add_date_time_to_mp4_file_name "addDateTimeToMp4FileName" = "false";
    text() file_name_format "fileNameFormat" = "%r%b";
    whole(0, 7, "(1 = mp4, 2 = hls, 4 = png, added)")
        upload_extensions_to_s3 "uploadExtensionsToS3"
        = "7";
    text() s3_storage_class "s3StorageClass" = "STANDARD";
    text() sub_folder "subFolder" = "";
    text() s3_streams_folder_path "s3StreamsFolderPath" = "streams";
    text() s3_previews_folder_path "s3PreviewsFolderPath" = "previews";
    flag() s3_recording_enabled "s3RecordingEnabled" = "false";
    secret() s3_access_key "s3AccessKey" = "";
    secret() s3_secret_key "s3SecretKey" = "";
    text() s3_bucket_name "s3BucketName" = "";
    text() s3_region_name "s3RegionName" = "";
    text() s3_endpoint "s3Endpoint" = "";
    text() s3_cache_control "s3CacheControl" = "no-store, no-cache, must-revalidate, max-age=0";
    flag() s3_path_style_access_enabled "s3PathStyleAccessEnabled" = "false";
    text() s3_permission "s3Permission" = "public-read";
    whole(0, 2_000_000_000, "bytes")
        s3_transfer_buffer_size_in_bytes "s3TransferBufferSizeInBytes"
        = "10000000";
    text() vod_upload_finish_script "vodUploadFinishScript" = "";
    text() recording_subfolder "recordingSubfolder" = "";

    // HLS.
    flag() hls_muxing_enabled "hlsMuxingEnabled" = "true";
    text_whole(3, 1_000, "segments") hls_list_size "hlsListSize" = "15";
    text_decimal(0.5, 30.0, "seconds") hls_time "hlsTime" = "2";
    flag()
        ll_hls_enabled "hlsEnableLowLatency" json "lLHLSEnabled" also ["llhlsEnabled", "llHlsEnabled"]
        = "false";
    flag() hls_enabled_via_dash "hlsEnabledViaDash" = "false";
    flag() delete_hls_files_on_ended "deleteHLSFilesOnEnded" = "true";
    one_of(&["", "event", "vod"]) hls_play_list_type "hlsPlayListType" = "";
    one_of(&["mpegts", "fmp4"]) hls_segment_type "hlsSegmentType" = "mpegts";
    text() hls_segment_file_suffix_format "hlsSegmentFileSuffixFormat" = "%09d";
    text() hlsflags "hlsflags" = "delete_segments+program_date_time";
    text() hls_http_endpoint "hlsHttpEndpoint" = "";
    flag() add_original_muxer_into_hls_playlist "addOriginalMuxerIntoHLSPlaylist" = "true";
    text() hls_encryption_key_info_file "hlsEncryptionKeyInfoFile" = "";
    flag() add_date_time_to_hls_file_name "addDateTimeToHlsFileName" = "false";
    flag() id3_tag_enabled "id3TagEnabled" = "false";

    // DASH.
    text_decimal(0.5, 30.0, "seconds") dash_seg_duration "dashSegDuration" = "6";
    text_decimal(0.0, 30.0, "seconds") dash_fragment_duration "dashFragmentDuration" = "0.5";
    text_decimal(0.0, 60.0, "seconds")
        target_latency "dashTargetLatency" json "targetLatency"
        = "3.5";
    text_whole(1, 10_000, "segments") dash_window_size "dashWindowSize" = "5";
    text_whole(0, 10_000, "segments") dash_extra_window_size "dashExtraWindowSize" = "5";
    flag()
        ll_dash_enabled "dashEnableLowLatency" json "lLDashEnabled" also ["lldashEnabled"]
        = "true";
    flag() use_timeline_dash_muxing "useTimelineDashMuxing" = "false";
    flag() delete_dash_files_on_ended "deleteDASHFilesOnEnded" = "true";
    flag() dash_muxing_enabled "dashMuxingEnabled" = "false";
    flag() dash_http_streaming "dashHttpStreaming" = "true";
    text() dash_http_endpoint "dashHttpEndpoint" = "";

    // Who may publish, play and manage.
    text() remote_allowed_cidr "remoteAllowedCIDR" = "127.0.0.1";
    secret() token_hash_secret "tokenHashSecret" = "";
    flag() hash_control_publish_enabled "hashControlPublishEnabled" = "false";
    flag() hash_control_play_enabled "hashControlPlayEnabled" = "false";
    flag() accept_only_streams_in_data_store "acceptOnlyStreamsInDataStore" = "false";
    flag() accept_only_rooms_in_data_store "acceptOnlyRoomsInDataStore" = "false";
    flag() publish_token_control_enabled "publishTokenControlEnabled" = "false";
    flag() play_token_control_enabled "playTokenControlEnabled" = "false";
    flag() enable_time_token_for_play "enableTimeTokenForPlay" = "false";
    secret() time_token_secret_for_play "timeTokenSecretForPlay" = "";
    flag() enable_time_token_for_publish "enableTimeTokenForPublish" = "false";
    secret() time_token_secret_for_publish "timeTokenSecretForPublish" = "";
    whole(1, 86_400, "seconds") time_token_period "timeTokenPeriod" = "60";
    text() allowed_publisher_cidr "allowedPublisherCIDR" = "";
    whole(-1, 100_000_000, "viewers (-1 = any number)")
        webrtc_viewer_limit "webRTCViewerLimit"
        = "-1";
    secret() jwt_secret_key "jwtSecretKey" = "";
    flag() jwt_control_enabled "jwtControlEnabled" = "false";
    flag() ip_filter_enabled "ipFilterEnabled" = "true";
    whole(-1, 1_000_000, "streams (-1 = any number)")
        ingesting_stream_limit "ingestingStreamLimit"
        = "-1";
    secret() jwt_stream_secret_key "jwtStreamSecretKey" = "";
    flag() publish_jwt_control_enabled "publishJwtControlEnabled" = "false";
    flag() play_jwt_control_enabled "playJwtControlEnabled" = "false";
    text() jwks_url "jwksURL" = "";
    secret() cluster_communication_key "clusterCommunicationKey" = "";
    secret() subscriber_authentication_key "subscriberAuthenticationKey" = "";
    flag() secure_analytic_endpoint "secureAnalyticEndpoint" = "false";

    // Hooks and scripts.
    text() listener_hook_url "listenerHookURL" = "";
    text() muxer_finish_script "muxerFinishScript" = "";
    text() stream_started_script "streamStartedScript" = "";
    text() stream_ended_script "streamEndedScript" = "";
    text() stream_idle_timeout_script "streamIdleTimeoutScript" = "";
    text() data_channel_web_hook_url "dataChannelWebHookURL" = "";
    text() webhook_authenticate_url "webhookAuthenticateURL" = "";
    whole(0, 1_000, "attempts") webhook_retry_count "webhookRetryCount" = "0";
    whole(0, 86_400_000, "milliseconds")
        webhook_retry_delay "webhookRetryAttemptDelay" json "webhookRetryDelay"
        = "1000";
    whole(-1, 86_400_000, "milliseconds (-1 = never)")
        webhook_stream_status_update_period_ms "webhookStreamStatusUpdatePeriodMs"
        = "-1";
    text() webhook_play_auth_url "webhookPlayAuthUrl" = "";
    text() webhook_content_type "webhookContentType" = "application/json";

    // Encoder and tracks.
    ladder() encoder_settings_string "encoderSettingsString" = "";
    text() encoder_name "encoderName" = "";
    object() encoder_parameters "encoderParameters" = "{}";
    whole(0, 256, "threads") encoder_thread_count "encoderThreadCount" = "0";
    whole(0, 2, "(0 = auto, 1 = frame, 2 = slice)") encoder_thread_type "encoderThreadType" = "0";
    whole(0, 256, "threads") vp8_encoder_thread_count "vp8EncoderThreadCount" = "1";
    one_of(&["gpu_and_cpu", "gpu", "cpu"])
        encoder_selection_preference "encoderSelectionPreference"
        = "gpu_and_cpu";
    whole(0, 86_400_000, "milliseconds") max_analyze_duration_ms "maxAnalyzeDurationMS" = "1500";
    whole(0, 1_000, "frames a second (0 = any)") max_fps_accept "maxFpsAccept" = "0";
    whole(0, 16_384, "pixels of height (0 = any)")
        max_resolution_accept "maxResolutionAccept"
        = "0";
    whole(0, 1_000_000_000, "bits a second (0 = any)") max_bitrate_accept "maxBitrateAccept" = "0";
    flag() h264_enabled "h264Enabled" = "true";
    flag() vp8_enabled "vp8Enabled" = "false";
    flag() av1_enabled "av1Enabled" = "false";
    flag() h265_enabled "h265Enabled" = "false";
    whole(0, 4_320, "pixels") height_rtmp_forwarding "heightRtmpForwarding" = "360";
    flag() aac_encoding_enabled "aacEncodingEnabled" = "true";
    whole(0, 10_000, "frames (0 = as it comes)") gop_size "gopSize" = "0";
    flag() force_decoding "forceDecoding" = "false";
    flag() force_aspect_ratio_in_transcoding "forceAspectRatioInTranscoding" = "false";
    whole(-1, 10_000, "tracks (-1 = any number)") max_audio_track_count "maxAudioTrackCount" = "-1";
    whole(-1, 10_000, "tracks (-1 = any number)") max_video_track_count "maxVideoTrackCount" = "-1";
    flag() hw_scaling_enabled "hwScalingEnabled" = "false";
    flag() hw_decoder_enabled "hwDecoderEnabled" = "true";
    whole(1, 100_000, "frames") encoding_queue_size "encodingQueueSize" = "150";

    // WebRTC.
    flag() signaling_enabled "signalingEnabled" = "false";
    text() signaling_address "signalingAddress" = "";
    flag() webrtc_enabled "webRTCEnabled" = "true";
    flag() use_original_webrtc_enabled "useOriginalWebRTCEnabled" = "false";
    whole(1, 240, "frames a second") webrtc_frame_rate "webRTCFrameRate" = "30";
    whole(0, 65_535, "(a port)") webrtc_port_range_min "webRTCPortRangeMin" = "50000";
    whole(0, 65_535, "(a port)") webrtc_port_range_max "webRTCPortRangeMax" = "60000";
    text() stun_server_uri "stunServerURI" = "stun:stun1.l.google.com:19302";
    text() turn_server_username "turnServerUsername" = "";
    secret() turn_server_credential "turnServerCredential" = "";
    flag() webrtc_tcp_candidates_enabled "webRTCTcpCandidatesEnabled" = "false";
    one_of(&["planB", "unifiedPlan"]) webrtc_sdp_semantics "webRTCSdpSemantics" = "unifiedPlan";
    whole(0, 65_535, "(flags, added)") port_allocator_flags "portAllocatorFlags" = "0";
    whole(0, 1_000_000_000, "bits a second")
        excessive_bandwidth_value "excessiveBandwidthValue"
        = "300000";
    whole(0, 10_000, "calls")
        excessive_bandwidth_call_threshold "excessiveBandwidthCallThreshold"
        = "3";
    whole(0, 10_000, "attempts")
        excessive_bandwith_try_count_before_switchback "excessiveBandwithTryCountBeforeSwitchback"
        = "4";
    flag() excessive_bandwidth_algorithm_enabled "excessiveBandwidthAlgorithmEnabled" = "false";
    whole(0, 100, "percent")
        packet_loss_diff_threshold_for_switchback "packetLossDiffThresholdForSwitchback"
        = "10";
    whole(0, 100_000, "milliseconds")
        rtt_measurement_diff_threshold_for_switchback "rttMeasurementDiffThresholdForSwitchback"
        = "20";
    flag() replace_candidate_addr_with_server_addr "replaceCandidateAddrWithServerAddr" = "false";
    whole(0, 86_400_000, "milliseconds")
        webrtc_client_start_timeout_ms "webRTCClientStartTimeoutMs"
        = "10000";
    flag() disable_ipv6_candidates "disableIPv6Candidates" = "true";
    flag() data_channel_enabled "dataChannelEnabled" = "true";
    one_of(&["none", "publisher", "all"])
        data_channel_player_distribution "dataChannelPlayerDistribution"
        = "all";
    whole(0, 10_000_000, "bits a second") audio_bitrate_sfu "audioBitrateSFU" = "96000";
    whole(0, 86_400_000, "milliseconds") webrtc_keyframe_time "webRTCKeyframeTime" = "2000";
    flag() play_webrtc_stream_once_for_each_session "playWebRTCStreamOnceForEachSession" = "true";
    flag()
        stats_based_abr_enabled "statsBasedABRAlgorithmEnabled" json "statsBasedABREnabled"
        = "true";
    decimal(0.0, 100.0, "percent")
        abr_down_scale_packet_lost_ratio "abrDownScalePacketLostRatio"
        = "1";
    decimal(0.0, 100.0, "percent")
        abr_up_scale_packet_lost_ratio "abrUpScalePacketLostRatio"
        = "0.1";
    whole(0, 100_000, "milliseconds") abr_up_scale_rtt_ms "abrUpScaleRTTMs" = "150";
    whole(0, 100_000, "milliseconds") abr_up_scale_jitter_ms "abrUpScaleJitterMs" = "30";
    flag() send_audio_level_to_viewers "sendAudioLevelToViewers" = "false";
    whole(0, 127, "dB below full scale") audio_level_threshold "audioLevelThreshold" = "120";
    whole(0, 86_400_000, "milliseconds") ice_gathering_timeout_ms "iceGatheringTimeoutMs" = "2000";
    object() participant_visibility_matrix "participantVisibilityMatrix" = "{}";
    flag() drop_webrtc_ingest_if_no_packet_received "dropWebRTCIngestIfNoPacketReceived" = "false";

    // Previews.
    flag() preview_overwrite "previewOverwrite" = "false";
    whole(0, 86_400_000, "milliseconds") create_preview_period "createPreviewPeriod" = "5000";
    whole(1, 4_320, "pixels") preview_height "previewHeight" = "480";
    flag() generate_preview "generatePreview" = "false";
    one_of(&["png", "jpg", "webp"]) preview_format "previewFormat" = "png";
    whole(0, 100, "percent") preview_quality "previewQuality" = "75";

    // The rest.
    whole(0, 10_000, "attempts") endpoint_republish_limit "endpointRepublishLimit" = "3";
    whole(100, 86_400_000, "milliseconds")
        endpoint_health_check_period_ms "endpointHealthCheckPeriodMs"
        = "2000";
    whole(0, 2_592_000, "seconds") restart_stream_fetcher_period "restartStreamFetcherPeriod" = "0";
    flag() start_stream_fetcher_automatically "startStreamFetcherAutomatically" = "false";
    whole(0, 86_400_000, "milliseconds") stream_fetcher_buffer_time "streamFetcherBufferTime" = "0";
    text() my_sql_client_path "mySqlClientPath" = "/usr/local/antmedia/mysql";
    flag() write_stats_to_datastore "writeStatsToDatastore" = "true";
    text() http_forwarding_extension "httpForwardingExtension" = "";
    text() http_forwarding_base_url "httpForwardingBaseURL" = "";
    text() rtsp_pull_transport_type "rtspPullTransportType" = "3";
    whole(0, 86_400_000, "milliseconds") rtsp_timeout_duration_ms "rtspTimeoutDurationMs" = "5000";
    whole(0, 86_400_000, "milliseconds") rtmp_ingest_buffer_time_ms "rtmpIngestBufferTimeMs" = "0";
    one_of(&["installing", "installed", "deleted", "installationFailed"])
        app_status "appStatus"
        = "installed";
    whole(0, 9_007_199_254_740_991, "milliseconds since 1970")
        app_installation_time "appInstallationTime"
        = "0";
    flag() pull_war_file "pullWarFile" = "false";
    text() war_file_origin_server_address "warFileOriginServerAddress" = "";
    text() content_security_policy_header_value "contentSecurityPolicyHeaderValue" = "";
    flag() rtmp_playback_enabled "rtmpPlaybackEnabled" = "false";
    whole(0, 86_400, "seconds")
        origin_edge_idle_timeout "originEdgeConnectionIdleTimeout" json "originEdgeIdleTimeout"
        = "2";
    secret() firebase_account_key_json "firebaseAccountKeyJSON" = "";
    text() apns_server "apnsServer" = "api.sandbox.push.apple.com";
    text() apn_team_id "apnTeamId" = "";
    secret() apn_private_key "apnPrivateKey" = "";
    text() apn_key_id "apnKeyId" = "";
    object() custom_settings "customSettings" = "{}";
    flag() relay_rtmp_meta_data_to_muxers "relayRTMPMetaDataToMuxers" = "true";
    whole(0, 60_000, "milliseconds") srt_receive_latency_in_ms "srtReceiveLatencyInMs" = "150";
    flag() write_subscriber_events_to_datastore "writeSubscriberEventsToDatastore" = "false";
}
