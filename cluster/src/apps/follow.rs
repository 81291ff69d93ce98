//! Following the store's records of applications, and applying what they say.

use super::{APPS_MAX, AppEvent, AppState, CHECK_PERIOD, Inner, POLL_PERIOD, is_deleted, place_of};
use crate::follow::{Follower, News};
use crate::names::AppName;
use crate::records::{Fields, Kind, LIST_MAX, Query};
use crate::store::StoreError;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;
use weir_conf::app::AppSettings;

/// Whether the store answered last time; so that each turn is logged once.
#[derive(Debug, Default)]
pub(super) struct Health {
    away: bool,
    /// Names in the store that are none, logged once each.
    odd_names: BTreeSet<String>,
}

/// Follows until `shutdown`.
pub(super) async fn run(apps: Arc<Inner>, shutdown: CancellationToken) {
    let (told, health) = (Arc::clone(&apps), Arc::clone(&apps));
    let mut follower = Follower::new(
        move || told.records.record_changes(),
        move || health.records.record_changes_health(),
        POLL_PERIOD,
    );
    let mut check = interval_at(Instant::now() + CHECK_PERIOD, CHECK_PERIOD);
    check.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let news = tokio::select! {
            () = shutdown.cancelled() => return,
            _ = check.tick() => None,
            news = follower.next() => Some(news),
        };
        match news {
            None | Some(News::Reload { .. }) => apps.reload().await,
            Some(News::Changed(change)) if change.place.kind == Kind::AppSettings => {
                let name = change.place.key.first().map(|name| AppName::parse(name));
                let applied = match name {
                    Some(Ok(name)) => apps.refresh(&name).await.is_ok(),
                    Some(Err(_)) => true,
                    // One of them went, and the store cannot say which.
                    None => false,
                };
                if !applied {
                    apps.reload().await;
                    // When the store is away the next look is soon.
                    check.reset_after(POLL_PERIOD);
                }
            }
            Some(News::Changed(_)) => {}
        }
    }
}

impl Inner {
    /// Reads one application's record and applies it.
    pub(super) async fn refresh(&self, name: &AppName) -> Result<(), StoreError> {
        let _turn = self.turn.lock().await;
        if let Some(record) = self.records.get(&place_of(name)).await? {
            self.apply(name, &record);
        }
        Ok(())
    }

    /// Reads all records and applies them; puts there what is known here and has no record.
    pub(super) async fn reload(&self) {
        let mut health = self.turn.lock().await;
        match self.reload_in_turn(&mut health).await {
            Ok(()) if health.away => {
                health.away = false;
                tracing::info!("the store answers again; applications follow it");
            }
            Err(error) if !health.away => {
                health.away = true;
                tracing::warn!(%error, "applications stay as last known until the store is back");
            }
            Ok(()) | Err(_) => {}
        }
    }

    async fn reload_in_turn(&self, health: &mut Health) -> Result<(), StoreError> {
        let records = self.all_records(health).await?;
        let known: Vec<Arc<AppState>> = self.read().values().cloned().collect();
        for (name, record) in &records {
            self.apply(name, record);
        }
        for state in known {
            if records.contains_key(&state.name) {
                continue;
            }
            let seed = self.seeds.get(&state.name);
            let record = self.record_of(seed.unwrap_or(&state.settings).clone());
            if self.records.insert(&place_of(&state.name), record).await? {
                tracing::info!(app = %state.name, "wrote an application's settings to the store");
            }
            if let Some(record) = self.records.get(&place_of(&state.name)).await? {
                self.apply(&state.name, &record);
            }
        }
        Ok(())
    }

    async fn all_records(
        &self,
        health: &mut Health,
    ) -> Result<BTreeMap<AppName, Fields>, StoreError> {
        let mut query = Query::all(Kind::AppSettings, None);
        let mut records = BTreeMap::new();
        loop {
            let page = self.records.list(&query).await?;
            let last = page.len() < LIST_MAX || query.offset > APPS_MAX;
            query.offset += page.len();
            for record in page {
                let name = record.get("appName").and_then(Value::as_str);
                match name.map(AppName::parse) {
                    Some(Ok(name)) => drop(records.insert(name, record)),
                    Some(Err(error)) => odd(health, name, &error.to_string()),
                    None => odd(health, name, "it has none"),
                }
            }
            if last {
                return Ok(records);
            }
        }
    }

    /// Makes the application what its record says, and tells so.
    fn apply(&self, name: &AppName, record: &Fields) {
        let (settings, errors) = AppSettings::from_record(record);
        let time = record.get("updateTime");
        let time = time.and_then(|t| t.as_i64().or_else(|| whole(t.as_f64()?)));
        let settings = settings.over(&self.nodes);
        let new = (!is_deleted(record)).then(|| {
            Arc::new(AppState {
                name: name.clone(),
                settings,
                update_time_ms: time.unwrap_or_default(),
            })
        });
        let Some(event) = self.swap(name, new) else {
            return;
        };
        for error in errors.list() {
            tracing::warn!(app = %name, %error, "a stored setting counts as not set");
        }
        // Fails only when nobody listens.
        let _ = self.events.send(event);
    }

    /// Puts `new` in place, and returns what that means; `None` when nothing.
    fn swap(&self, name: &AppName, new: Option<Arc<AppState>>) -> Option<AppEvent> {
        let mut now = self.now.write().unwrap_or_else(PoisonError::into_inner);
        let room = now.len() < APPS_MAX;
        let old = now.get(name).cloned();
        match (old, new) {
            (None, None) => None,
            (None, Some(new)) => {
                if !room {
                    tracing::error!(app = %name, "left out: there are {APPS_MAX} applications");
                    return None;
                }
                now.insert(name.clone(), Arc::clone(&new));
                tracing::info!(app = %name, "application created");
                Some(AppEvent::Created(new))
            }
            (Some(old), None) => {
                now.remove(name);
                tracing::info!(app = %name, "application deleted");
                Some(AppEvent::Deleted(old))
            }
            (Some(old), Some(new)) => {
                now.insert(name.clone(), Arc::clone(&new));
                let changed = new.settings.differs_in(&old.settings);
                if changed.is_empty() {
                    return None;
                }
                tracing::info!(app = %name, ?changed, "application settings changed");
                Some(AppEvent::SettingsChanged(new))
            }
        }
    }
}

fn odd(health: &mut Health, name: Option<&str>, reason: &str) {
    let name = name.unwrap_or_default().to_owned();
    if health.odd_names.len() < APPS_MAX && health.odd_names.insert(name.clone()) {
        tracing::warn!(
            name,
            reason,
            "left out stored settings: no application's name"
        );
    }
}

fn whole(time: f64) -> Option<i64> {
    format!("{time:.0}").parse().ok()
}
