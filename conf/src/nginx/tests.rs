//! What nginx accepts and how it words what it does not, held over the whole way from text to
//! model. One file a subject.

mod balancing;
mod caching;
mod errors;
mod files;
mod grammar;
mod guard;
mod meaning;
mod nodes;
mod places;
mod process;
mod robust;
mod shipped;
mod tls;
mod variables;

use std::net::IpAddr;
use std::path::Path;

use super::addr::Resolve;
use super::{Config, Error, LoadOptions, lower, parse, table};

/// Knows one name, so that no test asks a real resolver.
struct Names;

impl Resolve for Names {
    fn resolve(&self, host: &str) -> Vec<IpAddr> {
        match host {
            "two.test" => vec!["192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap()],
            "localhost" => vec!["127.0.0.1".parse().unwrap()],
            _ => Vec::new(),
        }
    }
}

fn load(text: &str) -> Result<Config, Error> {
    let options = LoadOptions::default();
    let tree = parse::parse_text(
        text.as_bytes(),
        "t.conf",
        Path::new("/nonexistent"),
        &options.limits,
        &table::check,
    )?;
    lower::lower(&tree, &options, &Names)
}

/// The configuration of an `http` block with these contents.
fn http(inner: &str) -> Result<Config, Error> {
    load(&format!("events {{}}\nhttp {{\n{inner}\n}}\n"))
}

/// The configuration of a server in `http` with these contents.
fn server(inner: &str) -> Result<Config, Error> {
    http(&format!("server {{ listen 8080;\n{inner}\n}}"))
}

fn message(result: Result<Config, Error>) -> String {
    match result {
        Ok(_) => "accepted".to_owned(),
        Err(error) => error.to_string(),
    }
}
