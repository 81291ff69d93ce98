//! Which applications may be published to, and how each is cut, as it stands when a publisher comes.

use std::collections::BTreeMap;

use weir_cluster::AppName;

use crate::options::AppOptions;

/// Tells an application's settings as they are now. Asked once a publish, so a change holds from
/// the next one on.
pub trait AppSource: Send + Sync + std::fmt::Debug + 'static {
    /// The application's settings; `None` when there is no such application.
    fn options(&self, app: &AppName) -> Option<AppOptions>;
}

/// Applications that never change.
#[derive(Clone, Debug, Default)]
pub struct FixedApps(pub BTreeMap<AppName, AppOptions>);

impl AppSource for FixedApps {
    fn options(&self, app: &AppName) -> Option<AppOptions> {
        self.0.get(app).copied()
    }
}
