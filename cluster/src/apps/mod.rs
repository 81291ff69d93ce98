//! The applications, and their settings, at run time: the same on every node, without a restart.
//!
//! An application is a record in the store ([`Kind::AppSettings`], one a name, Ant Media's fields).
//! Every node follows these records: by the store's changes where it tells them, else by asking
//! each [`POLL_PERIOD`]. So a change made on one node is seen, applied and logged on every other
//! within two seconds. [`Apps::subscribe`] is the one way in which a room learns of it.
//!
//! **Who decides.** The store: a node's own files are only what an application starts from, where
//! the store has no record of it. A deleted application leaves its record, marked `toBeDeleted`, so
//! that no node's files bring it back; creating it again takes the mark off. A record that is gone
//! altogether (a database emptied or restored) deletes nothing: nodes put back what they know.
//!
//! **Order.** Each change is applied as read from the store, one at a time, and each read starts
//! after the one before was applied; so nothing old ever overwrites something newer.
//!
//! **Failures.** While the store is away, what was last known stays, and changes are refused with
//! [`AppsError::Store`]. Values in a record that are not right count as not set, and are logged.
//!
//! **Limits and cost.** [`APPS_MAX`] applications. One list of records a node each period, whatever
//! the number of streams and viewers; the same each [`CHECK_PERIOD`] where the store tells changes.

mod databases;
mod follow;

use crate::clock::{SystemClock, WallClock};
use crate::names::AppName;
use crate::records::{Fields, Kind, Place, Records};
use crate::store::StoreError;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;
use tokio::sync::{Mutex, broadcast};
use tokio_util::sync::CancellationToken;
use weir_conf::app::AppSettings;

/// The most applications of a cluster.
pub const APPS_MAX: usize = 1_000;
/// How often the store is asked, where it does not tell changes.
pub const POLL_PERIOD: Duration = Duration::from_secs(1);
/// How often it is asked where it does, to be sure.
pub const CHECK_PERIOD: Duration = Duration::from_secs(30);
/// How long opening waits for the store; then it starts with what the node's files say.
pub const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// Events a receiver may lag behind; it is told when it does, and should read [`Apps::list`] anew.
pub const EVENTS_MAX: usize = 256;

/// One application now.
#[derive(Clone, Debug, PartialEq)]
pub struct AppState {
    /// Its name.
    pub name: AppName,
    /// Its settings.
    pub settings: AppSettings,
    /// When they were last set, ms since the Unix epoch; 0 = never here.
    pub update_time_ms: i64,
}

impl AppState {
    /// Its record, as REST sends it: every setting, its name and when it was set.
    #[must_use]
    pub fn to_json(&self) -> Fields {
        let mut fields = self.settings.to_json();
        fields.insert("appName".to_owned(), Value::from(self.name.as_str()));
        fields.insert("updateTime".to_owned(), Value::from(self.update_time_ms));
        fields
    }
}

/// What happened to an application.
#[derive(Clone, Debug)]
pub enum AppEvent {
    /// There is a new one.
    Created(Arc<AppState>),
    /// It is gone; this is what it was.
    Deleted(Arc<AppState>),
    /// It has other settings now.
    SettingsChanged(Arc<AppState>),
}

/// Why a change of applications was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppsError {
    /// There is one of this name.
    #[error("application {0} exists")]
    Exists(AppName),
    /// There is none of this name.
    #[error("there is no application {0}")]
    Unknown(AppName),
    /// No application can have this name beside the others.
    #[error("there can be no application {name}: {reason}")]
    Name {
        /// The name.
        name: AppName,
        /// Why not.
        reason: String,
    },
    /// As many as a cluster has.
    #[error("there are {APPS_MAX} applications, and no room for more")]
    Limit,
    /// The store refused, or is away.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The applications of the cluster. Clones are the same.
#[derive(Clone, Debug)]
pub struct Apps(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    records: Arc<dyn Records>,
    clock: Arc<dyn WallClock>,
    /// What the node's files say, by name.
    seeds: BTreeMap<AppName, AppSettings>,
    /// What this node says where an application says nothing.
    nodes: AppSettings,
    now: RwLock<BTreeMap<AppName, Arc<AppState>>>,
    /// Held from reading the store until what was read is applied.
    turn: Mutex<follow::Health>,
    events: broadcast::Sender<AppEvent>,
}

impl Apps {
    /// The applications in the store, and those of `seeds` that it has no record of, which are put
    /// there; follows the store until `shutdown`. When the store is away, the seeds alone, until
    /// it is back.
    pub async fn open(
        records: Arc<dyn Records>,
        seeds: Vec<(AppName, AppSettings)>,
        shutdown: CancellationToken,
    ) -> Self {
        let nodes = AppSettings::default();
        Self::open_at(records, seeds, nodes, Arc::new(SystemClock), shutdown).await
    }

    /// As [`Apps::open`], with what holds on this node where an application says nothing, and with
    /// another clock for the records' times. The node's settings are in no record: other nodes may
    /// have others, and a changed file holds from the next start on.
    pub async fn open_at(
        records: Arc<dyn Records>,
        seeds: Vec<(AppName, AppSettings)>,
        nodes: AppSettings,
        clock: Arc<dyn WallClock>,
        shutdown: CancellationToken,
    ) -> Self {
        let started = seeds.iter().map(|(name, settings)| {
            let state = AppState {
                name: name.clone(),
                settings: settings.clone().over(&nodes),
                update_time_ms: 0,
            };
            (name.clone(), Arc::new(state))
        });
        let apps = Self(Arc::new(Inner {
            records,
            clock,
            now: RwLock::new(started.collect()),
            seeds: seeds.into_iter().collect(),
            nodes,
            turn: Mutex::default(),
            events: broadcast::channel(EVENTS_MAX).0,
        }));
        if tokio::time::timeout(OPEN_TIMEOUT, apps.0.reload())
            .await
            .is_err()
        {
            tracing::warn!("the store does not answer; applications are as the node's files say");
        }
        tokio::spawn(follow::run(Arc::clone(&apps.0), shutdown));
        apps
    }

    /// The application of this name.
    #[must_use]
    pub fn get(&self, name: &AppName) -> Option<Arc<AppState>> {
        self.0.read().get(name).cloned()
    }

    /// All applications, by name.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<AppState>> {
        self.0.read().values().cloned().collect()
    }

    /// What happens to applications from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<AppEvent> {
        self.0.events.subscribe()
    }

    /// Makes an application, with the settings of the node's files if they name it, else the
    /// defaults.
    ///
    /// # Errors
    /// [`AppsError`].
    pub async fn create(&self, name: &AppName) -> Result<Arc<AppState>, AppsError> {
        if self.get(name).is_some() {
            return Err(AppsError::Exists(name.clone()));
        }
        if self.0.read().len() >= APPS_MAX {
            return Err(AppsError::Limit);
        }
        let clash = databases::clash(name.as_str(), self.0.read().keys().map(AppName::as_str));
        if let Some(reason) = clash {
            let name = name.clone();
            return Err(AppsError::Name { name, reason });
        }
        let settings = self.0.seeds.get(name).cloned().unwrap_or_default();
        let mut fields = self.0.record_of(settings);
        let place = place_of(name);
        if !self.0.records.insert(&place, fields.clone()).await? {
            let there = self.0.records.get(&place).await?.unwrap_or_default();
            if !is_deleted(&there) {
                self.0.refresh(name).await?;
                return Err(AppsError::Exists(name.clone()));
            }
            // It begins anew, not with what it was when it was deleted.
            unset(&mut fields, &AppSettings::from_record(&there).0);
            self.0.records.patch(&place, fields).await?;
        }
        self.0.refresh(name).await?;
        self.get(name)
            .ok_or_else(|| AppsError::Unknown(name.clone()))
    }

    /// Deletes an application, on every node; its streams' records stay.
    ///
    /// # Errors
    /// [`AppsError`].
    pub async fn delete(&self, name: &AppName) -> Result<(), AppsError> {
        let known = self.get(name);
        let known = known.ok_or_else(|| AppsError::Unknown(name.clone()))?;
        let mark = Fields::from_iter([
            ("toBeDeleted".to_owned(), Value::Bool(true)),
            ("appStatus".to_owned(), Value::from("deleted")),
            ("updateTime".to_owned(), Value::from(self.0.clock.now_ms())),
        ]);
        let place = place_of(name);
        if self.0.records.patch(&place, mark.clone()).await?.is_none() {
            // Never written, or gone: the mark is what other nodes' files must find.
            let mut fields = known.to_json();
            fields.extend(mark);
            self.0.records.put(&place, fields).await?;
        }
        self.0.refresh(name).await?;
        Ok(())
    }

    /// Sets an application's settings, all of them, on every node.
    ///
    /// # Errors
    /// [`AppsError`].
    pub async fn set(&self, name: &AppName, settings: AppSettings) -> Result<(), AppsError> {
        let Some(before) = self.get(name) else {
            return Err(AppsError::Unknown(name.clone()));
        };
        let mut fields = self.0.record_of(settings);
        unset(&mut fields, &before.settings);
        // Deleted elsewhere a moment ago, it stays so.
        fields.remove("toBeDeleted");
        fields.remove("appStatus");
        let place = place_of(name);
        if self
            .0
            .records
            .patch(&place, fields.clone())
            .await?
            .is_none()
        {
            self.0.records.insert(&place, fields).await?;
        }
        self.0.refresh(name).await?;
        Ok(())
    }
}

impl Inner {
    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<AppName, Arc<AppState>>> {
        self.now.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The record of an application that is there, set now.
    fn record_of(&self, settings: AppSettings) -> Fields {
        let mut fields = settings.set_to_json();
        fields.insert("updateTime".to_owned(), Value::from(self.clock.now_ms()));
        fields.insert("toBeDeleted".to_owned(), Value::Bool(false));
        fields.insert("appStatus".to_owned(), Value::from("installed"));
        fields
    }
}

/// Says of what was set `before` and is not set in `fields` that it is set no more. What is not
/// known here is somebody else's, and stays.
fn unset(fields: &mut Fields, before: &AppSettings) {
    for (name, _) in before.set_to_json() {
        if weir_conf::app::find(&name).is_some() {
            fields.entry(name).or_insert(Value::Null);
        }
    }
}

fn place_of(name: &AppName) -> Place {
    Place::of_cluster(Kind::AppSettings, name.as_str())
}

/// Whether a record says that its application is gone; Ant Media has had two ways to say so.
fn is_deleted(record: &Fields) -> bool {
    record.get("toBeDeleted") == Some(&Value::Bool(true))
        || record.get("appStatus").and_then(Value::as_str) == Some("deleted")
}

#[cfg(test)]
mod tests;
