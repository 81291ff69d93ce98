//! The directive table: which directives exist, where they may stand, how many words they take,
//! and what becomes of them.
//!
//! Why a table: what is honoured, what has no effect and what is refused is read here in one
//! place, by people and by [`check`]; a later version adds rows. A name that has no row is
//! refused: as "not supported by weir yet" if nginx has it, else as unknown.

use super::error::{Error, Kind};
use super::known;
use super::parse::Directive;
use super::token::End;

mod stream;
mod tls;

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
/// Blocks of free entries: `map`, `types`.
const FREE: Contexts = 1 << 9;

const HSL: Contexts = HTTP | SERVER | LOCATION;
const ANYWHERE: Contexts = 0x1ff;

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

const NONE: Args = Args::Between(0, 0);
const ONE: Args = Args::Between(1, 1);
const TWO: Args = Args::Between(2, 2);

const PROCESS: &str = "the process is set up by weir's own settings";
const LOGS: &str = "lines go to weir's own log";
const STREAMED: &str = "bodies are streamed, never spooled";
const NO_FILES: &str = "no static files are served";
const RUNTIME: &str = "the runtime decides";
const SHARED: &str = "one process: the state is shared anyway";

/// Every directive this version takes, but those of TLS and some of `stream`.
pub const ROWS: &[Row] = &[
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
    block("location", SERVER, Args::Between(1, 2)),
    block("map", HTTP, TWO),
    row("listen", SERVER, Args::AtLeast(1)),
    row("server_name", SERVER, Args::AtLeast(1)),
    row("return", SERVER | LOCATION, Args::Between(1, 2)),
    // HTTP: the client's side.
    row("client_max_body_size", HSL, ONE),
    row("client_header_timeout", HTTP | SERVER, ONE),
    row("client_body_timeout", HSL, ONE),
    row("send_timeout", HSL, ONE),
    row("keepalive_timeout", HSL, Args::Between(1, 2)),
    row("keepalive_requests", HSL, ONE),
    row("large_client_header_buffers", HTTP | SERVER, TWO),
    row("add_header", HSL, Args::Between(2, 3)),
    row("default_type", HSL, ONE),
    row("access_log", HSL, Args::AtLeast(1)),
    as_nginx("log_format", HTTP, Args::AtLeast(2), LOGS),
    no_op("client_header_buffer_size", HTTP | SERVER, ONE, RUNTIME),
    no_op("client_body_buffer_size", HSL, ONE, STREAMED),
    no_op("client_body_temp_path", HSL, Args::Between(1, 4), STREAMED),
    no_op("root", HSL, ONE, NO_FILES),
    no_op("sendfile", HSL, Args::Flag, NO_FILES),
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
    Row {
        block: true,
        ..no_op("types", HSL, NONE, NO_FILES)
    },
    // HTTP: the upstream's side.
    row("proxy_pass", LOCATION, ONE),
    row("proxy_set_header", HSL, TWO),
    row("proxy_hide_header", HSL, ONE),
    row("proxy_redirect", HSL, Args::Between(1, 2)),
    row("proxy_http_version", HSL, ONE),
    row("proxy_connect_timeout", HSL | STREAM | STREAM_SERVER, ONE),
    row("proxy_send_timeout", HSL, ONE),
    row("proxy_read_timeout", HSL, ONE),
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
    no_op("proxy_buffering", HSL, Args::Flag, STREAMED),
    no_op("proxy_request_buffering", HSL, Args::Flag, STREAMED),
    no_op("proxy_buffers", HSL, TWO, STREAMED),
    no_op("proxy_buffer_size", HSL, ONE, STREAMED),
    no_op("proxy_busy_buffers_size", HSL, ONE, STREAMED),
    no_op("proxy_max_temp_file_size", HSL, ONE, STREAMED),
    no_op("proxy_temp_path", HSL, Args::Between(1, 4), STREAMED),
    // Upstreams.
    row("server", UPSTREAM | STREAM_UPSTREAM, Args::AtLeast(1)),
    row("weir_nodes", UPSTREAM | STREAM_UPSTREAM, Args::AtLeast(1)),
    row("least_conn", UPSTREAM | STREAM_UPSTREAM, NONE),
    row("keepalive", UPSTREAM, Args::Between(1, 2)),
    row("keepalive_timeout", UPSTREAM, ONE),
    no_op(
        "zone",
        UPSTREAM | STREAM_UPSTREAM,
        Args::Between(1, 2),
        SHARED,
    ),
    // Stream.
    block("upstream", STREAM, ONE),
    block("server", STREAM, NONE),
    row("listen", STREAM_SERVER, Args::AtLeast(1)),
    row("proxy_pass", STREAM_SERVER, ONE),
    row("proxy_timeout", STREAM | STREAM_SERVER, ONE),
    row("proxy_protocol", STREAM | STREAM_SERVER, Args::Flag),
    row("proxy_next_upstream", STREAM | STREAM_SERVER, Args::Flag),
    row("proxy_half_close", STREAM | STREAM_SERVER, Args::Flag),
    row("proxy_buffer_size", STREAM | STREAM_SERVER, ONE),
    // What nginx allows there and this version does not.
    Row {
        support: Support::Refused,
        ..block("location", LOCATION, Args::Between(1, 2))
    },
    Row {
        support: Support::Refused,
        ..row("access_log", STREAM | STREAM_SERVER, ONE)
    },
    Row {
        support: Support::Refused,
        ..row("keepalive_requests", UPSTREAM, ONE)
    },
    Row {
        support: Support::Refused,
        ..row("proxy_bind", ANYWHERE, Args::AtLeast(1))
    },
];

/// The row that holds for `name` in the blocks `parents` (outermost first).
#[must_use]
pub fn lookup(name: &str, parents: &[String]) -> Option<&'static Row> {
    let here = context(parents);
    rows().find(|row| row.name == name && row.contexts & here != 0)
}

/// Every row there is.
fn rows() -> impl Iterator<Item = &'static Row> {
    ROWS.iter().chain(stream::ROWS).chain(tls::ROWS)
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
        ["http", "server", "location"] => LOCATION,
        ["http", "upstream"] => UPSTREAM,
        ["stream"] => STREAM,
        ["stream", "server"] => STREAM_SERVER,
        ["stream", "upstream"] => STREAM_UPSTREAM,
        [.., "map" | "types"] => FREE,
        _ => 0,
    }
}
