//! The names in `connect` and `publish`.
//!
//! Encoders split `rtmp://host/app/stream?query` in several ways: the query may hang on the
//! application or on the stream, the application may carry an instance, the stream a leading
//! slash. Nothing is checked here but that an application is named: whether the names are good is
//! the admission's to say, so that a refusal has one home.

use crate::ingest::rtmp::amf0::Value;

/// The application instance that means "none".
const DEFAULT_INSTANCE: &str = "/_definst_";

/// What `connect` said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectInfo {
    /// Application, without instance `_definst_` and query.
    pub app: String,
    /// `tcUrl` without its query.
    pub tc_url: Option<String>,
    /// `flashVer`: what the encoder calls itself.
    pub flash_ver: Option<String>,
    /// Query of the application or of `tcUrl`; may hold a secret, so kept to the session.
    pub(super) query: String,
    /// Whether the encoder speaks Enhanced RTMP (it sent `fourCcList`).
    pub enhanced: bool,
}

impl ConnectInfo {
    /// Reads `connect`'s command object; `None` when it names no application.
    pub(super) fn read(object: &Value) -> Option<Self> {
        let text = |key| object.get(key).and_then(Value::as_str);
        let (app, app_query) = split_query(text("app")?);
        let app = app.trim_matches('/');
        let app = app.strip_suffix(DEFAULT_INSTANCE).unwrap_or(app);
        let (tc_url, tc_query) = text("tcUrl").map_or((None, ""), |url| {
            let (url, query) = split_query(url);
            (Some(url.to_owned()), query)
        });
        let query = if app_query.is_empty() {
            tc_query
        } else {
            app_query
        };
        (!app.is_empty()).then(|| Self {
            app: app.to_owned(),
            tc_url,
            flash_ver: text("flashVer").map(str::to_owned),
            query: query.to_owned(),
            enhanced: object.get("fourCcList").is_some(),
        })
    }
}

/// Stream name and query of `publish`'s argument.
pub(super) fn stream_name(raw: &str) -> (&str, &str) {
    let (name, query) = split_query(raw);
    (name.strip_prefix('/').unwrap_or(name), query)
}

fn split_query(raw: &str) -> (&str, &str) {
    raw.split_once('?').unwrap_or((raw, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(app: &str) -> Option<ConnectInfo> {
        ConnectInfo::read(&Value::object([("app", Value::string(app))]))
    }

    #[test]
    fn app_loses_slashes_default_instance_and_query() {
        for raw in ["LiveApp", "LiveApp/", "/LiveApp", "LiveApp/_definst_"] {
            assert_eq!(read(raw).unwrap().app, "LiveApp", "{raw}");
        }
        let info = read("LiveApp?token=s3cret").unwrap();
        assert_eq!(
            (info.app.as_str(), info.query.as_str()),
            ("LiveApp", "token=s3cret")
        );
    }

    #[test]
    fn other_instances_stay_for_the_admission_to_refuse() {
        assert_eq!(read("LiveApp/..").unwrap().app, "LiveApp/..");
    }

    #[test]
    fn no_app_is_none() {
        for raw in ["", "/", "?token=x"] {
            assert_eq!(read(raw), None, "{raw}");
        }
        assert_eq!(ConnectInfo::read(&Value::Null), None);
    }

    #[test]
    fn query_of_tc_url_serves_when_the_app_has_none() {
        let info = ConnectInfo::read(&Value::object([
            ("app", Value::string("live")),
            ("tcUrl", Value::string("rtmp://h/live?token=x")),
        ]))
        .unwrap();
        assert_eq!(info.tc_url.as_deref(), Some("rtmp://h/live"));
        assert_eq!(info.query, "token=x");
    }

    #[test]
    fn stream_name_loses_one_slash_and_its_query() {
        assert_eq!(stream_name("/cam1?token=x&y=?"), ("cam1", "token=x&y=?"));
        assert_eq!(stream_name("//cam1"), ("/cam1", ""));
        assert_eq!(stream_name(""), ("", ""));
    }
}
