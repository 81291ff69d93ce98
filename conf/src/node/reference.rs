//! `docs/settings.md`, written from the table of keys.

use super::env;
use super::keys::{APP_KEYS, DefaultValue, KEYS, Key};

const HEAD: &str = "\
# Settings

A node reads one properties file (`weir -c FILE`), in the syntax of Java's `.properties` files, in
UTF-8 or Latin-1. Every key can be left out; an empty value is as none. `weir -t -c FILE` checks a
file and exits.

**Environment.** Each key also has a variable: `WEIR_` and the key in upper case with `_` for every
character that is no letter or digit. It outranks the file: `WEIR_HLS_TIME=4` is `hls.time=4`. An
empty variable is as none.

**Mistakes.** A key that is not known, a value that is out of its range, a `WEIR_` variable that is
no setting: each is an error with file and line, and the node does not start. Keys of Ant Media's
`red5.properties` that have no meaning here are named in one warning, so an unedited one starts a
node.

**Paths.** A relative path in a file starts from the file's folder, one in a variable from the
working folder.
";

const APPS: &str = "
## Applications

An application's own setting outranks the node's. It stands in the node's file as
`app.NAME.KEY=…` (variable: `WEIR_APP_NAME_KEY`), or in the application's own file as `KEY=…` (see
`apps.dir`), the first of which wins over the second. Ant Media's older spelling `settings.KEY` is
accepted.
";

/// The reference of all settings, in Markdown.
pub fn settings_md() -> String {
    let mut out = HEAD.to_owned();
    for section in KEYS {
        out.push_str(&format!("\n## {}\n", section.title));
        for key in section.keys {
            describe(&mut out, key, Some(env::variable(key.name)));
        }
    }
    out.push_str(APPS);
    for key in APP_KEYS {
        describe(&mut out, key, None);
    }
    out
}

fn describe<T>(out: &mut String, key: &Key<T>, variable: Option<String>) {
    let (kind, range) = key.kind();
    out.push_str(&format!("\n### `{}`\n\n{}\n\n", key.name, key.doc));
    out.push_str(&match range.is_empty() {
        true => format!("- {kind}\n"),
        false => format!("- {kind}, {range}\n"),
    });
    out.push_str(&match key.default {
        DefaultValue::Is(value) => format!("- default: `{value}`\n"),
        DefaultValue::Unset(what) => format!("- not set by default: {what}\n"),
    });
    if let Some(variable) = variable {
        out.push_str(&format!("- variable: `{variable}`\n"));
    }
    if !key.aliases.is_empty() {
        out.push_str(&format!("- also: `{}`\n", key.aliases.join("`, `")));
    }
}
