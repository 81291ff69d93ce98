//! The directive table: which directives exist, where they may stand, how many words they take,
//! and what becomes of them.
//!
//! Why a table: what is honoured, what has no effect and what is refused is read here in one
//! place, by people and by [`check`]; a later version adds rows. A name that has no row is
//! refused: as "not supported by weir yet" if nginx has it, else as unknown.

mod cache;
mod guard;
mod stream;
mod tls;
mod upstreams;

use super::error::{Error, Kind};
use super::known;
use super::parse::Directive;
use super::token::End;

/// A set of contexts (blocks a directive may stand in), as bits.
pub type Contexts = u16;

/// Outside every block.
pub const MAIN: Contexts = 1;
/// `events { }`
pub const EVENTS: Contexts = 1 << 1;
/// `http { }`
pub const HTTP: Contexts = 1 << 2;
/// `server { }` in `http`
pub const SERVER: Contexts = 1 << 3;
/// `location { }`
pub const LOCATION: Contexts = 1 << 4;
/// `upstream { }` in `http`
pub const UPSTREAM: Contexts = 1 << 5;
/// `stream { }`
pub const STREAM: Contexts = 1 << 6;
/// `server { }` in `stream`
pub const STREAM_SERVER: Contexts = 1 << 7;
/// `upstream { }` in `stream`
pub const STREAM_UPSTREAM: Contexts = 1 << 8;
/// Blocks of free entries: `map`, `geo`, `split_clients`, `types`.
const FREE: Contexts = 1 << 9;
/// `if { }` in a `server`
pub const SERVER_IF: Contexts = 1 << 10;
/// `if { }` in a `location`
pub const LOCATION_IF: Contexts = 1 << 11;

const HSL: Contexts = HTTP | SERVER | LOCATION;
/// Where the rewrite module's directives stand.
const REWRITE: Contexts = SERVER | LOCATION | SERVER_IF | LOCATION_IF;
const ANYWHERE: Contexts = 0x1ff | SERVER_IF | LOCATION_IF;

/// How many words follow the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Args {
    /// From the first to the second number.
    Between(usize, usize),
    /// At least that many.
    AtLeast(usize),
    /// One, `on` or `off`.
    Flag,
}

/// What becomes of a directive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// It does what nginx's documentation says.
    Honoured,
    /// It is checked and has no effect, for this reason; [`super::Config::noops`] lists it.
    NoOp(&'static str),
    /// It does so where the process runs as nginx; elsewhere it has no effect, for this reason.
    AsNginx(&'static str),
    /// It does so in builds with OpenSSL; elsewhere it has no effect, for this reason.
    WithOpenssl(&'static str),
    /// It stands where nginx allows it and is not done yet.
    Refused,
}

/// One directive in one set of contexts.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// Where it may stand.
    pub contexts: Contexts,
    /// Words after the name.
    pub args: Args,
    /// Whether it opens a block.
    pub block: bool,
    /// What becomes of it.
    pub support: Support,
}

const fn row(name: &'static str, contexts: Contexts, args: Args) -> Row {
    Row {
        name,
        contexts,
        args,
        block: false,
        support: Support::Honoured,
    }
}

const fn block(name: &'static str, contexts: Contexts, args: Args) -> Row {
    Row {
        name,
        contexts,
        args,
        block: true,
        support: Support::Honoured,
    }
}

const fn no_op(name: &'static str, contexts: Contexts, args: Args, why: &'static str) -> Row {
    Row {
        name,
        contexts,
        args,
        block: false,
        support: Support::NoOp(why),
    }
}

const fn as_nginx(name: &'static str, contexts: Contexts, args: Args, why: &'static str) -> Row {
    Row {
        support: Support::AsNginx(why),
        ..no_op(name, contexts, args, why)
    }
}

const fn with_openssl(
    name: &'static str,
    contexts: Contexts,
    args: Args,
    why: &'static str,
) -> Row {
    Row {
        support: Support::WithOpenssl(why),
        ..no_op(name, contexts, args, why)
    }
}

const NONE: Args = Args::Between(0, 0);
const ONE: Args = Args::Between(1, 1);
const TWO: Args = Args::Between(2, 2);

const PROCESS: &str = "the process is set up by weir's own settings";
const LOGS: &str = "lines go to weir's own log";
const STREAMED: &str = "bodies are streamed, never spooled";
const RUNTIME: &str = "the runtime decides";
const SHARED: &str = "one process: the state is shared anyway";

/// Directives but for those in the rooms of this table.
const ROWS: &[Row] = &[
    // Anywhere.
    row("include", ANYWHERE | FREE, ONE),
    no_op(
        "error_log",
        HSL | STREAM | STREAM_SERVER,
        Args::AtLeast(1),
        "lines go where the main context's error_log says",
    ),
    // Main.
    row("worker_processes", MAIN, ONE),
    row("worker_shutdown_timeout", MAIN, ONE),
    row("load_module", MAIN, ONE),
    block("events", MAIN, NONE),
    block("http", MAIN, NONE),
    block("stream", MAIN, NONE),
    as_nginx("user", MAIN, Args::Between(1, 2), PROCESS),
    as_nginx("pid", MAIN, ONE, PROCESS),
    as_nginx("daemon", MAIN, Args::Flag, PROCESS),
    as_nginx("error_log", MAIN, Args::AtLeast(1), LOGS),
    no_op(
        "master_process",
        MAIN,
        Args::Flag,
        "one process is master and worker",
    ),
    as_nginx("worker_rlimit_nofile", MAIN, ONE, PROCESS),
    no_op("pcre_jit", MAIN, Args::Flag, RUNTIME),
    // Events.
    row("worker_connections", EVENTS, ONE),
    no_op("use", EVENTS, ONE, RUNTIME),
    no_op("multi_accept", EVENTS, Args::Flag, RUNTIME),
    no_op("accept_mutex", EVENTS, Args::Flag, RUNTIME),
    // HTTP: structure.
    block("upstream", HTTP, ONE),
    block("server", HTTP, NONE),
    block("location", SERVER | LOCATION, Args::Between(1, 2)),
    block("map", HTTP, TWO),
    block("geo", HTTP, Args::Between(1, 2)),
    block("split_clients", HTTP, TWO),
    row("listen", SERVER, Args::AtLeast(1)),
    row("server_name", SERVER, Args::AtLeast(1)),
    row("return", REWRITE, Args::Between(1, 2)),
    row("set", REWRITE, TWO),
    row("rewrite", REWRITE, Args::Between(2, 3)),
    row("break", REWRITE, NONE),
    block("if", SERVER | LOCATION, Args::AtLeast(1)),
    row("internal", LOCATION, NONE),
    // HTTP: what is answered here.
    row("root", HSL | LOCATION_IF, ONE),
    row("alias", LOCATION, ONE),
    row("index", HSL, Args::AtLeast(1)),
    row("try_files", SERVER | LOCATION, Args::AtLeast(2)),
    block("types", HSL, NONE),
    row("etag", HSL, Args::Flag),
    row("if_modified_since", HSL, ONE),
    row("max_ranges", HSL, ONE),
    row("expires", HSL | LOCATION_IF, Args::Between(1, 2)),
    row("error_page", HSL | LOCATION_IF, Args::AtLeast(2)),
    row("recursive_error_pages", HSL, Args::Flag),
    row("proxy_intercept_errors", HSL, Args::Flag),
    row("allow", HSL, ONE),
    row("deny", HSL, ONE),
    row("satisfy", HSL, ONE),
    row("auth_basic", HSL, ONE),
    row("auth_basic_user_file", HSL, ONE),
    row("absolute_redirect", HSL, Args::Flag),
    row("port_in_redirect", HSL, Args::Flag),
    row("server_name_in_redirect", HSL, Args::Flag),
    row("stub_status", LOCATION, Args::Between(0, 1)),
    no_op("log_not_found", HSL, Args::Flag, LOGS),
    no_op("map_hash_max_size", HTTP, ONE, RUNTIME),
    no_op("map_hash_bucket_size", HTTP, ONE, RUNTIME),
    no_op("variables_hash_max_size", HTTP, ONE, RUNTIME),
    no_op("variables_hash_bucket_size", HTTP, ONE, RUNTIME),
    no_op("rewrite_log", HSL, Args::Flag, LOGS),
    no_op("uninitialized_variable_warn", HSL, Args::Flag, LOGS),
    // HTTP: the client's side.
    row("client_max_body_size", HSL, ONE),
    row("client_header_timeout", HTTP | SERVER, ONE),
    row("client_body_timeout", HSL, ONE),
    row("send_timeout", HSL, ONE),
    row("keepalive_timeout", HSL, Args::Between(1, 2)),
    row("keepalive_requests", HSL, ONE),
    row("large_client_header_buffers", HTTP | SERVER, TWO),
    row("add_header", HSL | LOCATION_IF, Args::Between(2, 3)),
    row("default_type", HSL, ONE),
    row("access_log", HSL | LOCATION_IF, Args::AtLeast(1)),
    as_nginx("log_format", HTTP, Args::AtLeast(2), LOGS),
    no_op("client_header_buffer_size", HTTP | SERVER, ONE, RUNTIME),
    no_op("sendfile", HSL | LOCATION_IF, Args::Flag, RUNTIME),
    no_op("tcp_nopush", HSL, Args::Flag, RUNTIME),
    no_op(
        "tcp_nodelay",
        HSL | STREAM | STREAM_SERVER,
        Args::Flag,
        "it is always on",
    ),
    no_op("server_tokens", HSL, ONE, "no version is ever shown"),
    no_op("types_hash_max_size", HSL, ONE, RUNTIME),
    no_op("types_hash_bucket_size", HSL, ONE, RUNTIME),
    no_op("server_names_hash_max_size", HTTP, ONE, RUNTIME),
    no_op("server_names_hash_bucket_size", HTTP, ONE, RUNTIME),
    // HTTP: the upstream's side.
    row("proxy_pass", LOCATION | LOCATION_IF, ONE),
    row("proxy_set_header", HSL, TWO),
    row("proxy_connect_timeout", HSL | STREAM | STREAM_SERVER, ONE),
    row("proxy_next_upstream", HSL, Args::AtLeast(1)),
    row(
        "proxy_next_upstream_tries",
        HSL | STREAM | STREAM_SERVER,
        ONE,
    ),
    row(
        "proxy_next_upstream_timeout",
        HSL | STREAM | STREAM_SERVER,
        ONE,
    ),
    row("health_check", LOCATION | STREAM_SERVER, Args::AtLeast(0)),
    // What nginx allows there and this version does not.
    Row {
        support: Support::Refused,
        ..row("access_log", STREAM | STREAM_SERVER, ONE)
    },
];

/// Every directive this version takes.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    ROWS.iter()
        .chain(upstreams::ROWS)
        .chain(cache::ROWS)
        .chain(guard::ROWS)
        .chain(stream::ROWS)
        .chain(tls::ROWS)
}

/// The row that holds for `name` in the blocks `parents` (outermost first).
#[must_use]
pub fn lookup(name: &str, parents: &[String]) -> Option<&'static Row> {
    let here = context(parents);
    rows().find(|row| row.name == name && row.contexts & here != 0)
}

/// nginx's checks on a directive as it is read: known, allowed here, terminated, word count.
///
/// # Errors
/// In nginx's words.
pub fn check(directive: &Directive, end: End, parents: &[String]) -> Result<(), Error> {
    let name = directive.name.as_str();
    let here = context(parents);
    if here == FREE && name != "include" {
        return match end {
            End::Semicolon => Ok(()),
            End::Block => Err(directive.fault(Kind::Syntax, "unexpected \"{\"")),
        };
    }
    let Some(row) = lookup(name, parents) else {
        let has_rows = rows().any(|row| row.name == name && row.support != Support::Refused);
        return Err(if has_rows {
            let message = format!("\"{name}\" directive is not allowed here");
            directive.fault(Kind::NotAllowed, message)
        } else if known::is_known(name) {
            unsupported(directive)
        } else {
            directive.fault(Kind::Unknown, format!("unknown directive \"{name}\""))
        });
    };
    if row.support == Support::Refused {
        return Err(unsupported(directive));
    }
    match (row.block, end) {
        (true, End::Semicolon) => {
            let message = format!("directive \"{name}\" has no opening \"{{\"");
            return Err(directive.fault(Kind::Syntax, message));
        }
        (false, End::Block) => {
            let message = format!("directive \"{name}\" is not terminated by \";\"");
            return Err(directive.fault(Kind::Syntax, message));
        }
        _ => {}
    }
    check_args(directive, row.args)
}

/// The fault for what nginx does and this version does not.
#[must_use]
pub fn unsupported(directive: &Directive) -> Error {
    let message = format!(
        "directive \"{}\" is not supported by weir yet",
        directive.name
    );
    directive.fault(Kind::Unsupported, message)
}

fn check_args(directive: &Directive, args: Args) -> Result<(), Error> {
    let count = directive.args.len();
    let fits = match args {
        Args::Between(least, most) => (least..=most).contains(&count),
        Args::AtLeast(least) => count >= least,
        Args::Flag => count == 1,
    };
    let name = &directive.name;
    if !fits {
        let message = format!("invalid number of arguments in \"{name}\" directive");
        return Err(directive.fault(Kind::Value, message));
    }
    if args == Args::Flag {
        let value = directive.arg(0).unwrap_or_default();
        if !value.eq_ignore_ascii_case("on") && !value.eq_ignore_ascii_case("off") {
            let message = format!(
                "invalid value \"{value}\" in \"{name}\" directive, it must be \"on\" or \"off\""
            );
            return Err(directive.fault(Kind::Value, message));
        }
    }
    Ok(())
}

/// The context inside the blocks `parents`; zero inside a block that has none.
fn context(parents: &[String]) -> Contexts {
    let names: Vec<&str> = parents.iter().map(String::as_str).collect();
    match names.as_slice() {
        [] => MAIN,
        ["events"] => EVENTS,
        ["http"] => HTTP,
        ["http", "server"] => SERVER,
        ["http", "server", "if"] => SERVER_IF,
        ["http", "server", between @ .., "location"] if within(between) => LOCATION,
        ["http", "server", "location", between @ .., "if"] if within(between) => LOCATION_IF,
        ["http", "upstream"] => UPSTREAM,
        ["stream"] => STREAM,
        ["stream", "server"] => STREAM_SERVER,
        ["stream", "upstream"] => STREAM_UPSTREAM,
        [.., "map" | "geo" | "split_clients" | "types" | "match"] => FREE,
        _ => 0,
    }
}

/// Whether all blocks between are locations.
fn within(between: &[&str]) -> bool {
    between.iter().all(|name| *name == "location")
}
