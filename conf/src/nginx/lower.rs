//! The tree to the model: values parsed, inheritance and defaults applied, references resolved.
//!
//! Why apart from the parser: the tree keeps what was written, this decides what it means.
//! Inheritance is nginx's: a value set in an inner block replaces the outer one, and lists
//! (`proxy_set_header`, `add_header`, `proxy_hide_header`) are inherited only by a block that
//! has none of its own. Failures: the first one, in nginx's words.

mod balancing;
mod cache;
mod checks;
mod ciphers;
mod cluster;
mod guard;
mod gzip;
mod host_name;
mod http;
mod limits;
mod listen;
mod location;
mod pass;
mod passing;
mod resolving;
mod rewriting;
mod scope;
mod script;
mod stream;
mod stream_scope;
mod tls;
mod upstream;
mod variable;
mod web;

use std::path::{Path, PathBuf};

use super::addr::Resolve;
use super::error::{Error, Kind};
use super::model::{Config, Main, NoOp};
use super::parse::{Directive, Tree};
use super::table::{self, Support};
use super::{LoadOptions, value};

/// What lowering needs beside the tree, and what it collects.
pub(super) struct Lowering<'a> {
    options: &'a LoadOptions,
    resolver: &'a dyn Resolve,
    /// Where relative paths of files to serve begin.
    prefix: PathBuf,
    /// Where relative paths of certificates begin: beside the main file, as in nginx.
    conf_prefix: &'a Path,
    noops: Vec<NoOp>,
    warnings: Vec<String>,
}

impl Lowering<'_> {
    fn no_op(&mut self, directive: &Directive, what: String, why: &'static str) {
        self.noops.push(NoOp {
            what,
            why,
            pos: directive.start.clone(),
        });
    }
}

pub(super) fn lower(
    tree: &Tree,
    options: &LoadOptions,
    resolver: &dyn Resolve,
) -> Result<Config, Error> {
    let mut lowering = Lowering {
        options,
        resolver,
        prefix: prefix(tree, options),
        conf_prefix: &tree.prefix,
        noops: Vec::new(),
        warnings: Vec::new(),
    };
    collect_noops(
        &tree.directives,
        &mut Vec::new(),
        options,
        &mut lowering.noops,
    );
    let mut config = Config {
        files: tree.files.clone(),
        ..Config::default()
    };
    let mut seen = Once::default();
    for directive in &tree.directives {
        match directive.name.as_str() {
            "load_module" => load_module(directive, &mut lowering)?,
            "events" => {
                seen.first(directive)?;
                events(directive, &mut config.main)?;
            }
            "http" => {
                seen.first(directive)?;
                config.http = Some(http::http(directive, &mut lowering)?);
            }
            "stream" => {
                seen.first(directive)?;
                config.stream = Some(stream::stream(directive, &mut lowering)?);
            }
            _ => main_value(directive, &mut config.main, &mut seen)?,
        }
    }
    if !seen.0.contains(&"events".to_owned()) {
        // nginx: no "events" section in configuration.
        return Err(Error {
            message: "no \"events\" section in configuration".to_owned(),
            pos: None,
            kind: Kind::Syntax,
        });
    }
    cluster::properties(tree, &lowering, &mut config)?;
    listen::check_conflicts(&mut config)?;
    listen::check_tls(&config)?;
    lowering.noops.sort_by_key(|no_op| {
        let file = tree
            .files
            .iter()
            .position(|path| *path.to_string_lossy() == *no_op.pos.file);
        (file, no_op.pos.line)
    });
    config.noops = lowering.noops;
    config.warnings.extend(lowering.warnings);
    Ok(config)
}

/// The directory that relative paths begin at: the one told, else the main file's.
fn prefix(tree: &Tree, options: &LoadOptions) -> PathBuf {
    let beside = tree.files.first().and_then(|file| file.parent());
    let told = options.root_prefix.as_deref().or(beside);
    let told = told
        .filter(|it| !it.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    std::path::absolute(told).unwrap_or_else(|_| told.to_path_buf())
}

fn main_value(directive: &Directive, main: &mut Main, seen: &mut Once) -> Result<(), Error> {
    match directive.name.as_str() {
        "worker_processes" => {
            seen.first(directive)?;
            main.worker_processes = match directive.arg(0) {
                Some("auto") => None,
                _ => Some(number(directive, 0)?),
            };
        }
        "worker_shutdown_timeout" => {
            seen.first(directive)?;
            main.shutdown_timeout_ms = Some(time_ms(directive, 0)?);
        }
        // Only what has no effect is left; `table` let nothing else through.
        _ => {
            main.process.read(directive, seen)?;
        }
    }
    Ok(())
}

/// Nothing is loaded: a module is built in, or has directives that are refused one by one.
fn load_module(directive: &Directive, lowering: &mut Lowering<'_>) -> Result<(), Error> {
    let file = directive.arg(0).unwrap_or_default();
    let module = file.rsplit('/').next().unwrap_or_default();
    let named = module.starts_with("ngx_") && module.ends_with("_module.so");
    let why = match module {
        "ngx_stream_module.so" => "it is built in",
        // Debian's packages load all modules that are installed, whether the file uses them or not.
        _ if named => "what it adds is not here: its directives are refused where they stand",
        _ => "",
    };
    if !why.is_empty() {
        lowering.no_op(directive, format!("load_module {module}"), why);
        return Ok(());
    }
    let message = format!("module \"{file}\" is not supported by weir yet");
    Err(directive.fault(Kind::Unsupported, message))
}

fn events(directive: &Directive, main: &mut Main) -> Result<(), Error> {
    let mut seen = Once::default();
    for child in directive.children() {
        if child.name == "worker_connections" {
            seen.first(child)?;
            main.worker_connections = number(child, 0)?;
        }
    }
    Ok(())
}

/// Every directive whose row says so, in the order they stand.
fn collect_noops(
    directives: &[Directive],
    parents: &mut Vec<String>,
    options: &LoadOptions,
    out: &mut Vec<NoOp>,
) {
    for directive in directives {
        let row = table::lookup(&directive.name, parents);
        let why = match row.map(|row| row.support) {
            Some(Support::NoOp(why)) => Some(why),
            Some(Support::AsNginx(why)) if !options.as_nginx => Some(why),
            Some(Support::WithOpenssl(why)) if !options.openssl => Some(why),
            _ => None,
        };
        if let Some(why) = why {
            let what = directive.name.clone();
            out.push(NoOp {
                what,
                why,
                pos: directive.start.clone(),
            });
            continue;
        }
        parents.push(directive.name.clone());
        collect_noops(directive.children(), parents, options, out);
        parents.pop();
    }
}

/// Refuses a second directive of a name in one block, as nginx does for most.
#[derive(Debug, Default)]
pub(super) struct Once(Vec<String>);

impl Once {
    pub(super) fn first(&mut self, directive: &Directive) -> Result<(), Error> {
        if self.0.contains(&directive.name) {
            let message = format!("\"{}\" directive is duplicate", directive.name);
            return Err(directive.fault(Kind::Value, message));
        }
        self.0.push(directive.name.clone());
        Ok(())
    }
}

fn time_ms(directive: &Directive, arg: usize) -> Result<u64, Error> {
    let text = directive.arg(arg).unwrap_or_default();
    value::time_ms(text).ok_or_else(|| invalid_value(directive))
}

fn size_bytes(directive: &Directive, arg: usize) -> Result<u64, Error> {
    let text = directive.arg(arg).unwrap_or_default();
    value::size_bytes(text).ok_or_else(|| invalid_value(directive))
}

pub(super) fn number<T: std::str::FromStr>(directive: &Directive, arg: usize) -> Result<T, Error> {
    let text = directive.arg(arg).unwrap_or_default();
    value::number(text).ok_or_else(|| {
        directive.fault(
            Kind::Value,
            format!("\"{}\" directive invalid number", directive.name),
        )
    })
}

pub(super) fn flag(directive: &Directive) -> bool {
    value::flag(directive.arg(0).unwrap_or_default())
}

/// nginx's words for a value of the wrong form.
fn invalid_value(directive: &Directive) -> Error {
    directive.fault(
        Kind::Value,
        format!("\"{}\" directive invalid value", directive.name),
    )
}

/// nginx's words for a parameter it does not know.
pub(super) fn invalid_parameter(directive: &Directive, text: &str) -> Error {
    directive.fault(Kind::Value, format!("invalid parameter \"{text}\""))
}
