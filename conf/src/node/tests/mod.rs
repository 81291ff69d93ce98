//! Tests of node settings, each through `NodeConfig::load` as the binary calls it.

mod ant_media;
mod apps;
mod environment;
mod keys;
mod layout;
mod proofs_numbers;
mod proofs_texts;
mod properties;
mod relations;
mod shipped;

use super::{ConfErrors, Loaded, NodeConfig, Roles};
use std::io;
use std::path::Path;

/// The file that `load` reads `text` from.
const FILE: &str = "conf/node.properties";

fn no_env() -> Vec<(String, String)> {
    Vec::new()
}

fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn load_with(
    text: &str,
    roles: Option<Roles>,
    env: Vec<(String, String)>,
) -> Result<Loaded, ConfErrors> {
    let read = |path: &Path| match path.to_str() {
        Some(FILE) => Ok(text.as_bytes().to_vec()),
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    NodeConfig::load(Some(Path::new(FILE)), roles, env, read)
}

/// Loads a file that must be right.
fn load(text: &str) -> Loaded {
    load_with(text, None, no_env()).unwrap_or_else(|e| panic!("{text:?} is refused:\n{e}"))
}

/// Loads a file that must be right and give no warning.
fn config(text: &str) -> NodeConfig {
    let loaded = load(text);
    assert_eq!(loaded.warnings, [], "{text:?}");
    loaded.config
}

/// Loads a file that must be wrong; the errors as shown, one a line.
fn errors(text: &str) -> Vec<String> {
    errors_with(text, no_env())
}

fn errors_with(text: &str, env: Vec<(String, String)>) -> Vec<String> {
    match load_with(text, None, env) {
        Ok(_) => panic!("{text:?} is accepted"),
        Err(errors) => errors.to_string().lines().map(str::to_owned).collect(),
    }
}

/// The warnings of a file that must be right, as shown.
fn warnings(text: &str) -> Vec<String> {
    load(text)
        .warnings
        .iter()
        .map(ToString::to_string)
        .collect()
}
