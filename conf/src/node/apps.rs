//! An application's own settings: from its own file and from `app.NAME.KEY`.
//!
//! All of Ant Media's settings are read and kept ([`crate::app`]); those that this version makes use
//! of are rows of the node's table as well ([`APP_KEYS`]). The application's file is Ant Media's
//! (`red5-web.properties`), which gets more keys with each release. So in it an unknown key is an
//! error only when it is near one that is used; the others, and those that are kept without being
//! used, are named in the one warning.

use super::check::{Checker, Raw};
use super::env;
use super::error::{Place, Problem};
use super::keys::{APP_KEYS, Key};
use super::nearest::nearest;
use crate::app::{self, AppSettings};

/// What a key in the node's file starts with that belongs to one application.
pub(super) const PREFIX: &str = "app.";

fn find(name: &str) -> Option<&'static Key<AppSettings>> {
    APP_KEYS.iter().find(|key| key.is_called(name))
}

/// A line of the application's own file.
pub(super) fn own_file_setting(checker: &mut Checker, app: &str, raw: &Raw) {
    if let Some(key) = find(&raw.key) {
        checker.set_app(app, key, raw);
        return;
    }
    if app::find(&raw.key).is_some() {
        checker.keep_app(app, raw);
        checker.notes.foreign(format!("{app}: {}", raw.key));
        return;
    }
    let known = APP_KEYS.iter().flat_map(Key::spellings);
    match nearest(&raw.key, known) {
        Some(near) => checker.notes.unknown(raw, || Some(near.to_owned())),
        None => checker.notes.foreign(format!("{app}: {}", raw.key)),
    }
}

/// `app.NAME.KEY` in the node's file.
pub(super) fn node_file_setting(checker: &mut Checker, raw: &Raw) {
    let rest = raw.key.strip_prefix(PREFIX).unwrap_or_default();
    let (app, name) = rest.split_once('.').unwrap_or((rest, ""));
    if !checker.config.apps.iter().any(|known| known == app) {
        let apps = &checker.config.apps;
        checker
            .notes
            .errors
            .push_with(&raw.place, || Problem::UnknownApp {
                key: raw.key.clone(),
                app: app.to_owned(),
                apps: apps.clone(),
            });
        return;
    }
    match find(name) {
        Some(key) => checker.set_app(app, key, raw),
        None if app::find(name).is_some() => checker.keep_app(app, raw),
        None => {
            let known = app::SETTINGS.iter().map(|setting| setting.name);
            let near = || nearest(name, known).map(|near| format!("{PREFIX}{app}.{near}"));
            checker.notes.unknown(raw, near);
        }
    }
}

/// The variables of every application's keys: (variable, application, key).
pub(super) fn variables(apps: &[String]) -> Vec<(String, String, &'static Key<AppSettings>)> {
    let of_app = |app: &String| {
        let app = app.clone();
        APP_KEYS.iter().map(move |key| {
            let variable = env::variable(&format!("{PREFIX}{app}.{}", key.name));
            (variable, app.clone(), key)
        })
    };
    apps.iter().flat_map(of_app).collect()
}

/// A variable that belongs to one application; false when it belongs to none.
pub(super) fn environment_setting(checker: &mut Checker, raw: &Raw) -> bool {
    let mut of_name: Vec<_> = variables(&checker.config.apps);
    of_name.retain(|(variable, _, _)| *variable == raw.key);
    match of_name.as_slice() {
        [] => return false,
        [(_, app, key)] => checker.set_app(app, key, raw),
        several => {
            let apps: Vec<_> = several.iter().map(|(_, app, _)| app.as_str()).collect();
            let text = format!(
                "could mean any of the applications {}; set it in the file instead",
                apps.join(", ")
            );
            let place = Place::Environment(raw.key.clone());
            checker.notes.errors.push(place, Problem::Conflict(text));
        }
    }
    true
}
