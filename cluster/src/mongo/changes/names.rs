//! Names behind databases and `_id`s: what events leave out.

use super::{IDS_MAX, NAMES_MAX};
use crate::names::AppName;
use crate::records::Kind;
use moka::sync::Cache;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Applications that differ in case only and so share a database.
const NAMESAKES_MAX: usize = 8;

type DatabaseOf = Box<dyn Fn(&AppName) -> String + Send + Sync>;

pub(super) struct Names {
    database_of: DatabaseOf,
    apps: Mutex<BTreeMap<String, Vec<AppName>>>,
    ids: Cache<(Kind, String), Vec<String>>,
}

impl Names {
    pub(super) fn new(database_of: impl Fn(&AppName) -> String + Send + Sync + 'static) -> Self {
        Self {
            database_of: Box::new(database_of),
            apps: Mutex::default(),
            ids: Cache::new(IDS_MAX),
        }
    }

    /// Remembers an application that has records. Never called for names that somebody merely
    /// asked for: those could be anything, and any number.
    pub(super) fn learn(&self, app: &AppName) {
        let database = (self.database_of)(app);
        let mut apps = self.apps.lock().unwrap_or_else(PoisonError::into_inner);
        if apps.len() >= NAMES_MAX && !apps.contains_key(&database) {
            return;
        }
        let namesakes = apps.entry(database).or_default();
        if namesakes.len() < NAMESAKES_MAX && !namesakes.contains(app) {
            namesakes.push(app.clone());
        }
    }

    /// The applications of a database.
    pub(super) fn apps_of(&self, database: &str) -> Vec<AppName> {
        let apps = self.apps.lock().unwrap_or_else(PoisonError::into_inner);
        apps.get(database).cloned().unwrap_or_default()
    }

    /// Remembers which record an `_id` is.
    pub(super) fn seen(&self, kind: Kind, id: String, key: Vec<String>) {
        self.ids.insert((kind, id), key);
    }

    /// Which record had the `_id`, when that was seen.
    pub(super) fn gone(&self, kind: Kind, id: String) -> Option<Vec<String>> {
        self.ids.remove(&(kind, id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namesakes_share_a_database_and_numbers_are_bounded() {
        let names = Names::new(|app| app.as_str().to_ascii_lowercase());
        for name in ["LiveApp", "liveapp", "LiveApp"] {
            names.learn(&AppName::parse(name).unwrap());
        }
        assert_eq!(names.apps_of("liveapp").len(), 2);
        assert!(names.apps_of("other").is_empty());
        for i in 0..NAMES_MAX + 10 {
            names.learn(&AppName::parse(&format!("a{i}")).unwrap());
        }
        assert_eq!(names.apps.lock().unwrap().len(), NAMES_MAX);
        names.seen(Kind::User, "1".to_owned(), vec!["e".to_owned()]);
        assert_eq!(names.gone(Kind::User, "1".to_owned()).unwrap(), ["e"]);
        assert_eq!(names.gone(Kind::User, "1".to_owned()), None);
    }
}
