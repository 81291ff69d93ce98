//! The few settings of an application that REST itself obeys.

use crate::error::ApiError;
use crate::state::{Shared, bounded};
use serde_json::Value;
use weir_cluster::{AppName, Fields, Kind, Place};

/// How long a subscriber's code holds unless something else is set, s.
const TIME_TOKEN_PERIOD_S: u64 = 60;

/// An application's settings.
pub(crate) struct AppKeys(Fields);

impl AppKeys {
    /// From the settings' record.
    pub(crate) const fn of(record: Fields) -> Self {
        Self(record)
    }

    /// Signs stream tokens; `None` when unset.
    pub(crate) fn jwt_stream_secret(&self) -> Option<&str> {
        self.text("jwtStreamSecretKey")
    }

    /// From which codes are made for subscribers who are not registered.
    pub(crate) fn time_token_secret(&self, kind: &str) -> Option<&str> {
        if kind == "play" {
            self.text("timeTokenSecretForPlay")
        } else {
            self.text("timeTokenSecretForPublish")
        }
    }

    /// How long a code holds, s; at least 1.
    pub(crate) fn time_token_period_s(&self) -> u64 {
        let set = self.0.get("timeTokenPeriod").and_then(Value::as_u64);
        set.filter(|s| *s > 0).unwrap_or(TIME_TOKEN_PERIOD_S)
    }

    fn text(&self, name: &str) -> Option<&str> {
        let text = self.0.get(name).and_then(Value::as_str);
        text.filter(|text| !text.trim().is_empty())
    }
}

impl Shared {
    pub(crate) async fn app_keys(&self, app: &AppName) -> Result<AppKeys, ApiError> {
        let place = Place::of_cluster(Kind::AppSettings, app.as_str());
        let record = bounded(self.given.store.get(&place)).await?;
        Ok(AppKeys::of(record.unwrap_or_default()))
    }
}
