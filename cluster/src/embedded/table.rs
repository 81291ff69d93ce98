//! Records other than streams and nodes: in memory by place, in the file by a text that names it.

use crate::names::AppName;
use crate::records::{Fields, Kind, Place};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many records of a kind are kept. Broadcasts have a limit of their own.
#[must_use]
pub const fn records_max(kind: Kind) -> usize {
    match kind {
        Kind::Broadcast => super::STREAMS_MAX,
        Kind::Vod | Kind::Token | Kind::Subscriber | Kind::ConnectionEvent | Kind::Analytics => {
            100_000
        }
        Kind::AppSettings | Kind::User => 10_000,
        // As many as there are buckets (`api`), or a few more.
        Kind::Login => 70_000,
        Kind::Secret => 100,
    }
}

/// Records of one kind in one application, by key.
type Table = BTreeMap<Vec<String>, Arc<Fields>>;

/// All of them, and how many there are of each kind.
#[derive(Debug, Default)]
pub(super) struct Records {
    tables: BTreeMap<(Kind, Option<AppName>), Table>,
    counts: BTreeMap<Kind, usize>,
}

impl Records {
    pub(super) fn get(&self, place: &Place) -> Option<&Arc<Fields>> {
        let table = self.tables.get(&(place.kind, place.app.clone()))?;
        table.get(&place.key)
    }

    pub(super) fn count(&self, kind: Kind) -> usize {
        self.counts.get(&kind).copied().unwrap_or_default()
    }

    /// Records of a kind in one application, in the order of their keys.
    pub(super) fn of(
        &self,
        kind: Kind,
        app: Option<&AppName>,
    ) -> impl Iterator<Item = (&Vec<String>, &Arc<Fields>)> {
        let table = self.tables.get(&(kind, app.cloned()));
        table.into_iter().flatten()
    }

    /// The record of a kind with the least key, whatever its application: the oldest, of those
    /// that are kept in the order of their coming.
    pub(super) fn oldest(&self, kind: Kind) -> Option<Place> {
        let tables = self.tables.iter().filter(|((of, _), _)| *of == kind);
        let firsts = tables.filter_map(|((_, app), table)| Some((table.keys().next()?, app)));
        let (key, app) = firsts.min()?;
        Some(Place {
            kind,
            app: app.clone(),
            key: key.clone(),
        })
    }

    /// The greatest key of a kind.
    pub(super) fn newest_key(&self, kind: Kind) -> Option<&Vec<String>> {
        let tables = self.tables.iter().filter(|((of, _), _)| *of == kind);
        tables
            .filter_map(|(_, table)| table.keys().next_back())
            .max()
    }

    pub(super) fn put(&mut self, place: Place, fields: Option<Arc<Fields>>) {
        let Place { kind, app, key } = place;
        let name = (kind, app);
        let count = self.counts.entry(kind).or_default();
        match fields {
            Some(fields) => {
                let table = self.tables.entry(name).or_default();
                *count += usize::from(table.insert(key, fields).is_none());
            }
            None => {
                let Some(table) = self.tables.get_mut(&name) else {
                    return;
                };
                *count -= usize::from(table.remove(&key).is_some());
                if table.is_empty() {
                    self.tables.remove(&name);
                }
            }
        }
    }
}

/// The text that names a record in the file.
pub(super) fn key_of(place: &Place) -> String {
    let app = place.app.as_ref().map_or("", AppName::as_str);
    let mut parts = vec![place.kind.name(), app];
    parts.extend(place.key.iter().map(String::as_str));
    serde_json::Value::from(parts).to_string()
}

/// The record that a text of [`key_of`] names.
pub(super) fn place_of(text: &str) -> Option<Place> {
    let mut parts: Vec<String> = serde_json::from_str(text).ok()?;
    if parts.len() < 3 {
        return None;
    }
    let key = parts.split_off(2);
    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == parts[0])?;
    let app = match parts[1].as_str() {
        "" => None,
        app => Some(AppName::parse(app).ok()?),
    };
    Some(Place { kind, app, key })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_key_names_one_record() {
        let app = AppName::parse("live").unwrap();
        for place in [
            Place::in_app(Kind::Subscriber, &app, ["a\",\"b", "ü/ü"]),
            Place::in_app(Kind::Token, &app, ["a/b\u{10ffff}"]),
            Place::of_cluster(Kind::User, "a@b"),
        ] {
            assert_eq!(place_of(&key_of(&place)), Some(place));
        }
        for bad in ["", "[]", "[\"token\",\"live\"]", "[\"x\",\"\",\"y\"]", "5"] {
            assert_eq!(place_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn counted_by_kind_and_found_by_application() {
        let (a, b) = (AppName::parse("a").unwrap(), AppName::parse("b").unwrap());
        let mut records = Records::default();
        let fields = || Some(Arc::new(Fields::new()));
        let event = |app, key: &str| Place::in_app(Kind::ConnectionEvent, app, [key]);
        for (app, key) in [(&a, "3"), (&a, "5"), (&b, "2"), (&b, "2"), (&b, "9")] {
            records.put(event(app, key), fields());
        }
        records.put(Place::of_cluster(Kind::User, "1"), fields());
        assert_eq!(records.count(Kind::ConnectionEvent), 4);
        assert_eq!(records.of(Kind::ConnectionEvent, Some(&b)).count(), 2);
        assert_eq!(records.of(Kind::User, None).count(), 1);
        assert_eq!(records.oldest(Kind::ConnectionEvent), Some(event(&b, "2")));
        records.put(event(&b, "2"), None);
        records.put(event(&b, "2"), None);
        assert_eq!(records.oldest(Kind::ConnectionEvent), Some(event(&a, "3")));
        assert_eq!(records.count(Kind::ConnectionEvent), 3);
    }
}
