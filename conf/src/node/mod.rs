//! Node settings: `*.properties` with Ant Media's key names, and `WEIR_` environment variables.
//!
//! One table ([`keys::KEYS`]) says for each key its name, kind, unit, range, default and meaning;
//! parsing, the "did you mean" of errors, the shipped files' tests and `docs/settings.md` all
//! come from it, so none can drift from another.
//!
//! What outranks what, weakest first: the key's default, the properties file, the environment.
//! For an application: the node's value, the application's own file (`apps.dir`), `app.NAME.KEY`
//! in the node's file, and that key in the environment.
//!
//! A key that is neither ours nor Ant Media's is an error, for a setting that silently does
//! nothing costs more than a start that fails. Ant Media's keys that have no meaning here are
//! named in one warning, so that its unedited `red5.properties` starts a node.
//!
//! Limits: a file holds at most [`FILE_BYTES_MAX`] bytes; at most [`ERRORS_MAX`] errors are kept
//! of one load. Units are in the fields' names. Passwords never reach `Debug`, `Display` or an
//! error.

mod apps;
mod check;
mod config;
mod env;
mod error;
mod foreign;
pub mod keys;
mod kind;
mod layout;
mod load;
mod nearest;
pub(crate) mod properties;
mod reference;
mod relations;
mod types;

#[cfg(test)]
mod tests;

pub use config::{
    AppConfig, CacheConfig, ClusterConfig, DbConfig, EncoderConfig, HttpConfig, LogConfig,
    NodeConfig, RtmpConfig,
};
pub(crate) use error::shown;
pub use error::{ConfError, ConfErrors, ERRORS_MAX, Place, Problem, Warning};
pub use layout::Layout;
pub use load::{Loaded, read_file};
pub use properties::FILE_BYTES_MAX;
pub use reference::settings_md;
pub use types::{DbHost, DbType, Endpoint, Listen, LogFormat, LogLevel, Roles, Secret, ServerMode};
