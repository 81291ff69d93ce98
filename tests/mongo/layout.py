"""Ant Media's layout in MongoDB: databases, collections, indexes, and each field with its types.

Taken from Ant Media's entity classes and the documents its users show. A field is "name: types"; types are BSON's:
str, bool, double, long (64 bits), int (32 or 64 bits: its mapper reads either), list, object, date, oid, null.
Fields that weir adds begin with "weir" or stand in OURS.
"""


def fields(text):
    """"a b: str null; c: long" to {"a": {"str", "null"}, ...}."""
    table = {}
    for group in filter(str.strip, text.split(";")):
        names, types = group.split(":")
        for name in names.split():
            table[name] = set(types.split())
    return table


BROADCAST = fields("""
    _id: oid; _t streamId status: str; type publishType name: str null;
    playListStatus description category metaData role listenerHookURL ipAddr username password quality streamUrl
    originAdress rtmpURL userAgent remoteIp mainTrackStreamId subFolder latitude longitude altitude: str null;
    publish publicStream is360 zombi virtual autoStartStopEnabled playlistLoopEnabled: bool;
    date startTime absoluteStartTimeMs updateTime plannedStartDate plannedEndDate duration seekTimeInMs
    receivedBytes bitrate: long;
    speed packetLostRatio: double;
    mp4Enabled webMEnabled expireDurationMS maxIdleTime currentPlayIndex pendingPacketSize encoderQueueSize
    dropPacketCountInIngestion dropFrameCountInEncoding packetsLost jitterMs rttMs width height subtracksLimit
    hlsViewerCount dashViewerCount webRTCViewerCount rtmpViewerCount
    webRTCViewerLimit hlsViewerLimit dashViewerLimit: int;
    endPointList playListItemList encoderSettingsList: list null; hlsParameters: object null
""")
VOD = fields("""
    _id: oid; _t vodId: str;
    streamName vodName streamId filePath type previewFilePath processStatus description metadata
    latitude longitude altitude: str null;
    creationDate startTime duration fileSize processStartTime processEndTime: long
""")
TOKEN = fields("_id: oid; _t tokenId streamId type: str; roomId: str null; expireDate: long")
SUBSCRIBER = fields("""
    _id: oid; _t subscriberId streamId: str;
    subscriberName b32Secret type blockedType registeredNodeIp: str null; connected: bool;
    currentConcurrentConnections concurrentConnectionsLimit: int; totpExpiryPeriodSeconds: int null;
    blockedUntilUnitTimeStampMs avgVideoBitrate avgAudioBitrate: long
""")
EVENT = fields("""
    _id: oid; _t streamId subscriberId: str; eventType instanceIP type eventProtocol: str null; timestamp: long
""")
NODE = fields("_id _t ip memory: str; cpu dbQueryAveargeTimeMs: int; lastUpdateTime: long")
USER = fields("""
    _id: oid; _t email password userType scope: str; appNameUserType: object;
    firstName lastName fullName picture: str null
""")
SETTINGS = fields("""
    _id: oid; _t appName appStatus: str; updateTime: long; toBeDeleted: bool;
    hlsMuxingEnabled dashMuxingEnabled deleteHLSFilesOnEnded deleteDASHFilesOnEnded dashHttpStreaming lLDashEnabled
    lLHLSEnabled hlsEnabledViaDash addOriginalMuxerIntoHLSPlaylist addDateTimeToMp4FileName addDateTimeToHlsFileName
    mp4MuxingEnabled webMMuxingEnabled h264Enabled vp8Enabled av1Enabled h265Enabled aacEncodingEnabled
    hwDecoderEnabled hwScalingEnabled webRTCEnabled useOriginalWebRTCEnabled webRTCTcpCandidatesEnabled
    replaceCandidateAddrWithServerAddr acceptOnlyStreamsInDataStore acceptOnlyRoomsInDataStore rtmpPlaybackEnabled
    startStreamFetcherAutomatically generatePreview previewOverwrite writeStatsToDatastore s3RecordingEnabled
    s3PathStyleAccessEnabled ipFilterEnabled jwtControlEnabled statsBasedABREnabled dataChannelEnabled
    id3TagEnabled: bool;
    hlsTime hlsListSize hlsPlayListType hlsflags hlsSegmentType hlsSegmentFileSuffixFormat dashSegDuration
    dashFragmentDuration targetLatency dashWindowSize dashExtraWindowSize dashHttpEndpoint hlsHttpEndpoint
    encoderSettingsString fileNameFormat encoderSelectionPreference stunServerURI turnServerUsername
    turnServerCredential rtspPullTransportType previewFormat listenerHookURL webhookAuthenticateURL
    webhookPlayAuthUrl s3AccessKey s3SecretKey s3BucketName s3RegionName s3Endpoint s3StreamsFolderPath
    s3PreviewsFolderPath remoteAllowedCIDR jwtSecretKey jwksURL clusterCommunicationKey dataChannelPlayerDistribution
    httpForwardingExtension httpForwardingBaseURL: str;
    gopSize webRTCKeyframeTime webRTCPortRangeMin webRTCPortRangeMax webRTCClientStartTimeoutMs
    iceGatheringTimeoutMs webRTCFrameRate audioBitrateSFU webRTCViewerLimit ingestingStreamLimit maxFpsAccept
    maxResolutionAccept maxBitrateAccept restartStreamFetcherPeriod streamFetcherBufferTime rtspTimeoutDurationMs
    rtmpIngestBufferTimeMs createPreviewPeriod previewHeight previewQuality webhookRetryCount webhookRetryDelay
    webhookStreamStatusUpdatePeriodMs uploadExtensionsToS3 originEdgeIdleTimeout srtReceiveLatencyInMs
    abrUpScaleRTTMs abrUpScaleJitterMs endpointHealthCheckPeriodMs endpointRepublishLimit encodingQueueSize: int;
    abrDownScalePacketLostRatio abrUpScalePacketLostRatio: double; customSettings: object
""")

# Fields of ours in documents of theirs.
OURS = {
    ("liveapp", "broadcast"): fields("owner weirCheckpoint: object; weirOrigin: str"),
    ("clusterdb", "clusternode"): fields("""
        role version nodeGroup httpAddress rtmpAddress: str; streams: long; viewers: object;
        ingressMbps egressMbps: double; draining: bool
    """),
    ("serverdb", "user"): fields("weirSessionsFromMs: long"),
}
# Database and collection to fields, unique keys, and keys without uniqueness.
LAYOUT = {
    ("liveapp", "broadcast"): (BROADCAST, {"streamId_unique_index": "streamId"}, ["status"]),
    ("liveapp", "ConnectionEvent"): (EVENT, {}, ["streamId", "subscriberId"]),
    ("liveappVoD", "vod"): (VOD, {"weir_vodId": "vodId"}, ["streamId"]),
    ("liveapp_token", "token"): (TOKEN, {"weir_tokenId": "tokenId"}, ["streamId"]),
    ("liveapp_subscriber", "subscriber"): (SUBSCRIBER, {"weir_streamId_subscriberId": "streamId subscriberId"}, []),
    ("clusterdb", "clusternode"): (NODE, {}, []),
    ("clusterdb", "AppSettings"): (SETTINGS, {"appName_unique_index": "appName"}, []),
    ("serverdb", "user"): (USER, {"weir_email": "email"}, []),
}
CLASSES = {
    "broadcast": "Broadcast", "vod": "VoD", "token": "Token", "subscriber": "Subscriber", "clusternode": "ClusterNode",
    "AppSettings": "AppSettings", "user": "User", "ConnectionEvent": "ConnectionEvent",
}
# Collections that are weir's own.
OWN = {
    "clusterdb": {"weirlease", "weirchange", "weirduty", "weirtimeline", "weirsecret", "weirlogin"},
    "liveapp": {"weiranalytics"},
}
