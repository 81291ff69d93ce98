//! Ant Media's records, field by field, as they are answered and as bodies may set them.

use super::shape::Fallback::{Flag as Is, Null, Text as Called, Whole as Count, Zero};
use super::shape::{By, Fallback, Field, Shape};
use By::{Birth, Client, Server};
use Shape::{Flag, Items, Number, Object, OneOf, Text, Whole, Within};

const fn f(name: &'static str, shape: Shape, default: Fallback, by: By) -> Field {
    Field {
        name,
        shape,
        default,
        by,
    }
}

/// Kinds of streams.
pub(crate) const TYPES: &[&str] = &["liveStream", "ipCamera", "streamSource", "VoD", "playlist"];
/// States of streams.
pub(crate) const STATUSES: &[&str] = &[
    "created",
    "preparing",
    "broadcasting",
    "finished",
    "error",
    "failed",
    "terminated_unexpectedly",
];

/// A stream. Times are ms since the Unix epoch, but `plannedStartDate` and `plannedEndDate` are seconds.
pub(crate) const BROADCAST: &[Field] = &[
    f("streamId", Text, Null, Birth),
    f("status", OneOf(STATUSES), Called("created"), Server),
    f("playListStatus", OneOf(STATUSES), Null, Server),
    f("type", OneOf(TYPES), Called("liveStream"), Birth),
    f("publishType", Text, Null, Server),
    f("name", Text, Null, Client),
    f("description", Text, Null, Client),
    f("category", Text, Null, Client),
    f("metaData", Text, Null, Client),
    f("role", Text, Null, Client),
    f("publish", Flag, Is(true), Client),
    f("publicStream", Flag, Is(true), Client),
    f("is360", Flag, Is(false), Client),
    f("zombi", Flag, Is(false), Server),
    f("virtual", Flag, Is(false), Birth),
    f("autoStartStopEnabled", Flag, Is(false), Client),
    f("playlistLoopEnabled", Flag, Is(true), Client),
    f("date", Whole(0), Count(0), Server),
    f("startTime", Whole(0), Count(0), Server),
    f("absoluteStartTimeMs", Whole(0), Count(0), Server),
    f("updateTime", Whole(0), Count(0), Server),
    f("plannedStartDate", Whole(0), Count(0), Client),
    f("plannedEndDate", Whole(0), Count(0), Client),
    f("duration", Whole(0), Count(0), Server),
    f("seekTimeInMs", Whole(0), Count(0), Client),
    f("expireDurationMS", Whole(0), Count(0), Client),
    f("maxIdleTime", Whole(0), Count(0), Client),
    f("endPointList", Items(ENDPOINT), Null, Client),
    f("playListItemList", Items(PLAY_LIST_ITEM), Null, Client),
    f("currentPlayIndex", Whole(0), Count(0), Client),
    f("listenerHookURL", Text, Null, Client),
    f("ipAddr", Text, Null, Client),
    f("username", Text, Null, Client),
    f("password", Text, Null, Client),
    f("streamUrl", Text, Null, Client),
    f("quality", Text, Null, Server),
    f("speed", Number, Zero, Server),
    f("bitrate", Whole(0), Count(0), Server),
    f("receivedBytes", Whole(0), Count(0), Server),
    f("width", Whole(0), Count(0), Server),
    f("height", Whole(0), Count(0), Server),
    f("pendingPacketSize", Whole(0), Count(0), Server),
    f("encoderQueueSize", Whole(0), Count(0), Server),
    f("dropPacketCountInIngestion", Whole(0), Count(0), Server),
    f("dropFrameCountInEncoding", Whole(0), Count(0), Server),
    f("packetLostRatio", Number, Zero, Server),
    f("packetsLost", Whole(0), Count(0), Server),
    f("jitterMs", Whole(0), Count(0), Server),
    f("rttMs", Whole(0), Count(0), Server),
    f("userAgent", Text, Called("N/A"), Server),
    f("remoteIp", Text, Null, Server),
    f("hlsViewerCount", Whole(0), Count(0), Server),
    f("dashViewerCount", Whole(0), Count(0), Server),
    f("webRTCViewerCount", Whole(0), Count(0), Server),
    f("rtmpViewerCount", Whole(0), Count(0), Server),
    f("webRTCViewerLimit", Whole(-1), Count(-1), Client),
    f("hlsViewerLimit", Whole(-1), Count(-1), Client),
    f("dashViewerLimit", Whole(-1), Count(-1), Client),
    f("originAdress", Text, Null, Server),
    f("rtmpURL", Text, Null, Server),
    f("mp4Enabled", Within(-1, 1), Count(0), Birth),
    f("webMEnabled", Within(-1, 1), Count(0), Birth),
    f("mainTrackStreamId", Text, Null, Client),
    f("subtracksLimit", Whole(-1), Count(-1), Client),
    f("subFolder", Text, Null, Client),
    f("latitude", Text, Null, Client),
    f("longitude", Text, Null, Client),
    f("altitude", Text, Null, Client),
    f("hlsParameters", Object(HLS_PARAMETERS), Null, Client),
    f("encoderSettingsList", Items(ENCODER_SETTINGS), Null, Client),
    f("anyoneWatching", Flag, Is(false), Server),
];

const ENDPOINT: &[Field] = &[
    f("status", Text, Null, Client),
    f("type", Text, Null, Client),
    f("endpointUrl", Text, Null, Client),
    f("endpointServiceId", Text, Null, Client),
];

const PLAY_LIST_ITEM: &[Field] = &[
    f("streamUrl", Text, Null, Client),
    f("type", Text, Null, Client),
    f("name", Text, Null, Client),
    f("durationInMs", Whole(0), Count(0), Client),
    f("seekTimeInMs", Whole(0), Count(0), Client),
];

const HLS_PARAMETERS: &[Field] = &[
    f("hlsTime", Text, Null, Client),
    f("hlsListSize", Text, Null, Client),
    f("hlsPlayListType", Text, Null, Client),
];

const ENCODER_SETTINGS: &[Field] = &[
    f("height", Whole(0), Count(0), Client),
    f("videoBitrate", Whole(0), Count(0), Client),
    f("audioBitrate", Whole(0), Count(0), Client),
    f("forceEncode", Flag, Is(true), Client),
    f("forceSameResolutionEncode", Flag, Is(false), Client),
];

/// A recording. `duration` is ms, `fileSize` bytes.
pub(crate) const VOD: &[Field] = &[
    f("streamName", Text, Null, Server),
    f("vodName", Text, Null, Server),
    f("streamId", Text, Null, Server),
    f("creationDate", Whole(0), Count(0), Server),
    f("startTime", Whole(0), Count(0), Server),
    f("duration", Whole(0), Count(0), Server),
    f("fileSize", Whole(0), Count(0), Server),
    f("filePath", Text, Null, Server),
    f("vodId", Text, Null, Server),
    f("type", Text, Null, Server),
    f("previewFilePath", Text, Null, Server),
    f("processStatus", Text, Null, Server),
    f("processStartTime", Whole(0), Count(0), Server),
    f("processEndTime", Whole(0), Count(0), Server),
    f("description", Text, Null, Server),
    f("metadata", Text, Null, Server),
    f("latitude", Text, Null, Server),
    f("longitude", Text, Null, Server),
    f("altitude", Text, Null, Server),
];

/// What a token is for.
pub(crate) const TOKEN_TYPES: &[&str] = &["play", "publish"];

/// A token. `expireDate` is seconds since the Unix epoch.
pub(crate) const TOKEN: &[Field] = &[
    f("tokenId", Text, Null, Client),
    f("streamId", Text, Null, Client),
    f("expireDate", Whole(0), Count(0), Client),
    f("type", OneOf(TOKEN_TYPES), Null, Client),
    f("roomId", Text, Null, Client),
];

/// What a subscriber may do, or is kept from.
pub(crate) const SUBSCRIBER_TYPES: &[&str] = &["publish", "play", "publish_play"];

/// A subscriber.
pub(crate) const SUBSCRIBER: &[Field] = &[
    f("subscriberId", Text, Null, Client),
    f("subscriberName", Text, Null, Client),
    f("streamId", Text, Null, Server),
    f("b32Secret", Text, Null, Client),
    f("type", OneOf(SUBSCRIBER_TYPES), Null, Client),
    f("connected", Flag, Is(false), Server),
    f("currentConcurrentConnections", Whole(0), Count(0), Server),
    f("concurrentConnectionsLimit", Whole(0), Count(1), Client),
    f("blockedType", OneOf(SUBSCRIBER_TYPES), Null, Server),
    f("blockedUntilUnitTimeStampMs", Whole(0), Count(0), Server),
    f("registeredNodeIp", Text, Null, Server),
    f("avgVideoBitrate", Whole(0), Count(0), Server),
    f("avgAudioBitrate", Whole(0), Count(0), Server),
    f("totpExpiryPeriodSeconds", Whole(10), Null, Client),
];

/// A subscriber came or went. `timestamp` is ms since the Unix epoch.
pub(crate) const CONNECTION_EVENT: &[Field] = &[
    f("timestamp", Whole(0), Count(0), Server),
    f("eventType", Text, Null, Server),
    f("instanceIP", Text, Null, Server),
    f("type", Text, Null, Server),
    f("eventProtocol", Text, Null, Server),
    f("streamId", Text, Null, Server),
    f("subscriberId", Text, Null, Server),
];
