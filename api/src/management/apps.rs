//! The cluster's applications as the management REST's [`AppsAdmin`].

use crate::filter::{self, CidrList};
use crate::management::{AppSecurity, AppsAdmin, AppsError};
use async_trait::async_trait;
use weir_cluster::apps::{self, Apps};
use weir_cluster::{AppName, Fields, StoreError};
use weir_conf::app::AppSettings;

#[async_trait]
impl AppsAdmin for Apps {
    fn names(&self) -> Vec<AppName> {
        self.list().iter().map(|app| app.name.clone()).collect()
    }

    fn security(&self, app: &str) -> Option<AppSecurity> {
        let state = self.get(&AppName::parse(app).ok()?)?;
        let settings = &state.settings;
        Some(AppSecurity {
            ip_filter_enabled: settings.ip_filter_enabled(),
            remote_allowed_cidr: settings.remote_allowed_cidr().to_owned(),
            jwt_control_enabled: settings.jwt_control_enabled(),
            jwt_secret_key: settings.jwt_secret_key().to_owned(),
            jwks_url: settings.jwks_url().to_owned(),
        })
    }

    fn settings(&self, app: &AppName) -> Option<Fields> {
        self.get(app).map(|state| state.to_json())
    }

    async fn create(&self, app: &AppName) -> Result<(), AppsError> {
        Self::create(self, app).await?;
        Ok(())
    }

    async fn delete(&self, app: &AppName) -> Result<(), AppsError> {
        Ok(Self::delete(self, app).await?)
    }

    async fn change(&self, app: &AppName, set: Fields) -> Result<(), AppsError> {
        let state = self.get(app).ok_or(AppsError::NoSuchApp)?;
        let mut whole = state.settings.to_json();
        if set.contains_key("encoderSettingsString") {
            // Two names of one setting, of which the list outranks the text: the old one must not.
            whole.remove("encoderSettings");
        }
        whole.extend(set);
        let invalid = |error: &dyn std::fmt::Display| AppsError::Invalid(error.to_string());
        let settings = AppSettings::from_json(&whole).map_err(|errors| invalid(&errors))?;
        let networks = CidrList::parse(settings.remote_allowed_cidr());
        if let Some(word) = networks.unreadable.first() {
            let shown: String = word.chars().take(64).collect();
            let words = format!(
                "remoteAllowedCIDR holds {shown:?}; expected addresses or networks (10.0.0.0/8) with commas \
                 between them"
            );
            return Err(AppsError::Invalid(words));
        }
        if let Err(words) = filter::check_url(settings.jwks_url())
            && !settings.jwks_url().is_empty()
        {
            return Err(AppsError::Invalid(format!("jwksURL: {words}")));
        }
        Ok(self.set(app, settings).await?)
    }
}

impl From<apps::AppsError> for AppsError {
    fn from(error: apps::AppsError) -> Self {
        match error {
            apps::AppsError::Exists(_) => Self::Exists,
            apps::AppsError::Unknown(_) => Self::NoSuchApp,
            apps::AppsError::Store(error @ StoreError::Invalid { .. }) => {
                Self::Invalid(error.to_string())
            }
            apps::AppsError::Store(
                error @ (StoreError::Limit { .. } | StoreError::DiskFull { .. }),
            ) => Self::Refused(error.to_string()),
            apps::AppsError::Store(error) => Self::Store(error.to_string()),
            other => Self::Refused(other.to_string()),
        }
    }
}
