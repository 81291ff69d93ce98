//! The records as types: Ant Media's fields and spelling, with its defaults.
//!
//! A field that is missing or has the wrong type reads as its default ([`read`]): another version,
//! or a script, may have written it, and one bad field shall not hide a record.

use super::Fields;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// A recording.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Vod {
    /// The stream's name for people.
    pub stream_name: Option<String>,
    /// The file's name.
    pub vod_name: Option<String>,
    /// The stream it was made of; `file` for uploads.
    pub stream_id: Option<String>,
    /// Ms since the Unix epoch.
    pub creation_date: i64,
    /// When the recording began, ms since the Unix epoch.
    pub start_time: i64,
    /// Ms.
    pub duration: i64,
    /// Bytes.
    pub file_size: i64,
    /// For example `streams/x.mp4`.
    pub file_path: Option<String>,
    /// Its id.
    pub vod_id: String,
    /// `streamVod`, `uploadedVod` or `userVod`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Of the preview, when there is one.
    pub preview_file_path: Option<String>,
    /// `inqueue`, `processing`, `finished` or `failed`.
    pub process_status: Option<String>,
    /// Ms since the Unix epoch.
    pub process_start_time: i64,
    /// Ms since the Unix epoch.
    pub process_end_time: i64,
    /// For people.
    pub description: Option<String>,
    /// The user's own.
    pub metadata: Option<String>,
    /// As text.
    pub latitude: Option<String>,
    /// As text.
    pub longitude: Option<String>,
    /// As text.
    pub altitude: Option<String>,
}

/// Lets its bearer play or publish one stream, once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Token {
    /// The token itself.
    pub token_id: String,
    /// The stream.
    pub stream_id: Option<String>,
    /// Seconds since the Unix epoch.
    pub expire_date: i64,
    /// `play` or `publish`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The room, for conferences.
    pub room_id: Option<String>,
}

/// Somebody who may play or publish one stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Subscriber {
    /// Its id.
    pub subscriber_id: String,
    /// For people.
    pub subscriber_name: Option<String>,
    /// The stream.
    pub stream_id: String,
    /// Secret of its time-based codes, base32.
    pub b32_secret: Option<String>,
    /// `play`, `publish` or `publish_play`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Connected now.
    pub connected: bool,
    /// Connections now.
    pub current_concurrent_connections: i32,
    /// Connections allowed.
    pub concurrent_connections_limit: i32,
    /// What it is kept from: `play`, `publish`, `publish_play`.
    pub blocked_type: Option<String>,
    /// Until when, ms since the Unix epoch; 0 = not at all.
    pub blocked_until_unit_time_stamp_ms: i64,
    /// Address of the node it is connected to.
    pub registered_node_ip: Option<String>,
    /// Bits a second.
    pub avg_video_bitrate: i64,
    /// Bits a second.
    pub avg_audio_bitrate: i64,
    /// How long a code holds, s; `None` = the application's `timeTokenPeriod`.
    pub totp_expiry_period_seconds: Option<i32>,
}

impl Default for Subscriber {
    fn default() -> Self {
        Self {
            subscriber_id: String::new(),
            subscriber_name: None,
            stream_id: String::new(),
            b32_secret: None,
            kind: None,
            connected: false,
            current_concurrent_connections: 0,
            concurrent_connections_limit: 1,
            blocked_type: None,
            blocked_until_unit_time_stamp_ms: 0,
            registered_node_ip: None,
            avg_video_bitrate: 0,
            avg_audio_bitrate: 0,
            totp_expiry_period_seconds: None,
        }
    }
}

/// A subscriber came or went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConnectionEvent {
    /// Ms since the Unix epoch.
    pub timestamp: i64,
    /// `connected` or `disconnected`.
    pub event_type: Option<String>,
    /// Address of the node.
    #[serde(rename = "instanceIP")]
    pub instance_ip: Option<String>,
    /// `publish` or `play`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// `webrtc`, `hls` or `dash`.
    pub event_protocol: Option<String>,
    /// The stream.
    pub stream_id: String,
    /// Who.
    pub subscriber_id: String,
}

/// Somebody who may use the management REST and the dashboard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct User {
    /// The name to log in with.
    pub email: String,
    /// An argon2id hash (PHC string) of the MD5 that clients send; what Ant Media wrote is a bare
    /// MD5 and is replaced at the next login.
    pub password: String,
    /// `ADMIN`, `USER` or `READ_ONLY`.
    pub user_type: Option<String>,
    /// `system` or an application.
    pub scope: Option<String>,
    /// Role by application.
    pub app_name_user_type: BTreeMap<String, String>,
    /// For people.
    pub first_name: Option<String>,
    /// For people.
    pub last_name: Option<String>,
    /// For people.
    pub full_name: Option<String>,
    /// For people.
    pub picture: Option<String>,
}

/// The record as a `T`; fields that cannot be read count as missing.
#[must_use]
pub fn read<T: DeserializeOwned + Default>(fields: &Fields) -> T {
    let whole = Value::Object(fields.clone());
    if let Ok(value) = serde_json::from_value(whole) {
        return value;
    }
    let mut good = Fields::new();
    for (name, value) in fields {
        for value in [Some(value.clone()), whole_number(value)]
            .into_iter()
            .flatten()
        {
            let alone = Fields::from_iter([(name.clone(), value.clone())]);
            if serde_json::from_value::<T>(Value::Object(alone)).is_ok() {
                good.insert(name.clone(), value);
                break;
            }
        }
    }
    serde_json::from_value(Value::Object(good)).unwrap_or_default()
}

/// The whole number that a float is: MongoDB's shell writes every number as a float.
fn whole_number(value: &Value) -> Option<Value> {
    /// The greatest number up to which every whole number is a float.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    let float = value.as_f64().filter(|_| value.is_f64())?;
    let exact = float.fract() == 0.0 && float.abs() <= EXACT_MAX;
    // Written out, for there is no cast from a float that is right by its type.
    exact.then(|| format!("{float:.0}").parse::<i64>().ok().map(Value::from))?
}

/// The record's fields; empty for what is no JSON object.
#[must_use]
pub fn write<T: Serialize>(record: &T) -> Fields {
    match serde_json::to_value(record) {
        Ok(Value::Object(fields)) => fields,
        _ => Fields::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn one_bad_field_costs_itself_only() {
        let Value::Object(fields) = json!({
            "tokenId": "t", "expireDate": "soon", "type": 7, "streamId": "s", "other": [1],
        }) else {
            panic!("an object")
        };
        let token: Token = read(&fields);
        assert_eq!((token.token_id.as_str(), token.expire_date), ("t", 0));
        assert_eq!((token.stream_id.as_deref(), token.kind), (Some("s"), None));
    }

    #[test]
    fn whole_numbers_written_as_floats_are_read() {
        let Value::Object(fields) = json!({ "duration": 5.0, "fileSize": 1.5, "startTime": -0.0 })
        else {
            panic!("an object")
        };
        let vod: Vod = read(&fields);
        assert_eq!((vod.duration, vod.file_size, vod.start_time), (5, 0, 0));
    }

    #[test]
    fn fields_have_ant_medias_spelling() {
        let event = write(&ConnectionEvent::default());
        assert!(event.contains_key("instanceIP") && event.contains_key("eventProtocol"));
        let subscriber = write(&Subscriber::default());
        assert_eq!(subscriber["concurrentConnectionsLimit"], 1);
        assert!(subscriber.contains_key("blockedUntilUnitTimeStampMs"));
        assert!(subscriber.contains_key("b32Secret"));
    }
}
