//! The few settings of an application that REST itself obeys.

use crate::state::Shared;
use serde_json::Value;
use weir_cluster::{AppName, Fields};

/// How long a subscriber's code holds unless something else is set, s.
const TIME_TOKEN_PERIOD_S: u64 = 60;

/// An application's settings.
pub(crate) struct AppKeys(Fields);

impl AppKeys {
    /// From settings under Ant Media's JSON names.
    pub(crate) const fn of(settings: Fields) -> Self {
        Self(settings)
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
    pub(crate) fn app_keys(&self, app: &AppName) -> AppKeys {
        AppKeys::of(self.given.management.apps.settings(app).unwrap_or_default())
    }
}
