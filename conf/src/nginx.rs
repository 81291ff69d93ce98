//! nginx.conf: raw text to a checked [`Config`] that the load balancer runs.
//!
//! Why our own: the file is the product's front door. People edit it with sed, certbot and
//! configuration management, so it must be read as nginx reads it and refused in nginx's words.
//!
//! The way through: [`token`] (bytes to statements) → [`parse`] (statements to a tree, `include`
//! expanded, each directive checked against [`table`] as it is read) → `lower` (tree to
//! [`model`], with inheritance and defaults). Nothing is ignored: a directive is honoured, or
//! accepted without effect and listed by [`Config::noops`], or refused with file and line.
//!
//! Units: times in milliseconds, sizes in bytes. Limits: [`parse::Limits`]. Failures: [`Error`],
//! always the administrator's to mend, printed as `[emerg] … in FILE:LINE`.

pub mod addr;
mod error;
mod known;
pub mod log;
mod lower;
pub mod model;
pub mod parse;
pub mod process;
pub mod regex;
mod shipped;
pub mod table;
pub mod template;
pub mod token;
mod value;

use std::path::Path;

pub use addr::{Addr, Resolve, SystemResolver};
pub use error::{Error, Kind, Pos};
pub use model::Config;
pub use regex::Regex;
pub use shipped::{Behind, default_config_text};
pub use value::size_bytes;

/// Name given to text that did not come from a file, in errors.
pub const INLINE_NAME: &str = "<built-in lb.conf>";

/// How names are resolved and which deviations are allowed while loading.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// Accept `listen` on port 0 (the system picks one). nginx refuses it; tests need it.
    pub allow_port_zero: bool,
    /// Where relative paths of files to serve begin; the configuration's directory if not given.
    pub root_prefix: Option<std::path::PathBuf>,
    /// Bounds on what is read.
    pub limits: parse::Limits,
    /// The process runs as nginx: `pid`, `user` and the like are its to obey.
    pub as_nginx: bool,
    /// TLS is OpenSSL's, which takes lists of ciphers and commands of its own.
    pub openssl: bool,
    /// As nginx: where requests are logged if the file does not say.
    pub access_log: Option<String>,
    /// Directives of the main context that go before the file's: nginx's `-g`.
    pub globals: Option<String>,
}

/// Reads `path` and everything it includes, and returns the checked configuration.
///
/// # Errors
/// The first fault found, in nginx's words, with the file and line it stands in.
pub fn load(path: &Path, options: &LoadOptions) -> Result<Config, Error> {
    let globals = match &options.globals {
        Some(text) => globals(text, path, options)?,
        None => Vec::new(),
    };
    let mut tree = parse::parse_file(path, &options.limits, &table::check)?;
    tree.directives.splice(0..0, globals);
    lower::lower(&tree, options, &SystemResolver)
}

/// Like [`load`] for text at hand; a relative `include` is looked for under `prefix`.
///
/// # Errors
/// As [`load`].
pub fn load_text(
    text: &str,
    name: &str,
    prefix: &Path,
    options: &LoadOptions,
) -> Result<Config, Error> {
    load_bytes(text.as_bytes(), (name, prefix), options, &SystemResolver)
}

/// Like [`load_text`] for whatever bytes there are, with another way to resolve names: nothing is
/// asked of the network by a caller who feeds it what it likes (`fuzz/`).
///
/// # Errors
/// As [`load`].
pub fn load_bytes(
    bytes: &[u8],
    (name, prefix): (&str, &Path),
    options: &LoadOptions,
    resolver: &dyn Resolve,
) -> Result<Config, Error> {
    let tree = parse::parse_text(bytes, name, prefix, &options.limits, &table::check)?;
    lower::lower(&tree, options, resolver)
}

/// What `-g` says; an include in it is relative to the file, as in nginx.
fn globals(text: &str, path: &Path, options: &LoadOptions) -> Result<Vec<parse::Directive>, Error> {
    let prefix = path.parent().unwrap_or_else(|| Path::new(""));
    let (limits, name) = (&options.limits, error::COMMAND_LINE);
    let parsed = parse::parse_text(text.as_bytes(), name, prefix, limits, &table::check);
    match parsed {
        Ok(tree) => Ok(tree.directives),
        Err(mut error) => {
            let unended = "unexpected end of file, expecting \";\" or \"}\"";
            if error.message == unended {
                "unexpected end of parameter, expecting \";\"".clone_into(&mut error.message);
            }
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests;
