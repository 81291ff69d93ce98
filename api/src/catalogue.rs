//! All records of an application at once, for what the store cannot do by itself: sort, search, count.
//!
//! One scan serves everybody who asks within [`CATALOGUE_AGE_MAX`], and those who come while it runs wait for it,
//! so that a crowd of open stream lists costs the store one scan a second and application, not one a viewer.
//! A scan stops at [`CATALOGUE_RECORDS_MAX`] records; a failure is remembered as long as a success.

use crate::error::ApiError;
use crate::extract::LIST_SIZE_MAX;
use crate::state::bounded;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;
use weir_cluster::{AppName, Broadcast, Store};

/// How old a scan may be.
pub const CATALOGUE_AGE_MAX: Duration = Duration::from_secs(1);
/// The most records of one application that are scanned.
pub const CATALOGUE_RECORDS_MAX: usize = 10_000;

type Scan = Result<Arc<Vec<Broadcast>>, ApiError>;

/// Scans, one an application.
#[derive(Debug)]
pub(crate) struct Catalogue {
    store: Arc<dyn Store>,
    scans: HashMap<AppName, Mutex<Option<(Instant, Scan)>>>,
}

impl Catalogue {
    pub(crate) fn new(store: Arc<dyn Store>, apps: &[AppName]) -> Self {
        let scans = apps.iter().map(|app| (app.clone(), Mutex::default()));
        Self {
            store,
            scans: scans.collect(),
        }
    }

    /// All records of `app`, at most [`CATALOGUE_AGE_MAX`] old.
    pub(crate) async fn all(&self, app: &AppName) -> Scan {
        let Some(slot) = self.scans.get(app) else {
            return Err(ApiError::NotFound(format!("no application {app}")));
        };
        let mut slot = slot.lock().await;
        if let Some((at, scan)) = slot.as_ref()
            && at.elapsed() < CATALOGUE_AGE_MAX
        {
            return scan.clone();
        }
        let scan = self.scan(app).await.map(Arc::new);
        *slot = Some((Instant::now(), scan.clone()));
        scan
    }

    async fn scan(&self, app: &AppName) -> Result<Vec<Broadcast>, ApiError> {
        let mut all = Vec::new();
        while all.len() < CATALOGUE_RECORDS_MAX {
            let page = bounded(self.store.broadcasts(app, all.len(), LIST_SIZE_MAX)).await?;
            let full = page.len() >= LIST_SIZE_MAX;
            all.extend(page);
            if !full {
                return Ok(all);
            }
        }
        tracing::warn!(%app, records = all.len(), "application has more records than are sorted and counted");
        Ok(all)
    }
}
