//! The log: lines for people or JSON for machines, on stderr; start-up lines go to stdout.
//!
//! Pingora logs through the `log` crate: its records are taken in as well. `RUST_LOG`, when set,
//! outranks the level of the settings, in the usual syntax (`info,weir_origin::access=debug`).

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use weir_conf::node::LogFormat;

/// Who says too much for the level chosen: libraries, whose words an operator has no use for, and
/// below `debug` the balancer's line a request. Pingora's proxy says an error for each client that
/// goes away inside a header; the balancer logs upstreams' failures itself. `RUST_LOG` asks for
/// more.
const QUIET: &str = "pingora_core=warn,pingora_proxy=off,hyper=warn";
const NO_ACCESS_LINES: &str = "weir_lb::access=warn";

/// Starts the log. Called once; a second call changes nothing.
pub(crate) fn start(level: &str, format: LogFormat, rust_log: Option<&str>) -> anyhow::Result<()> {
    let filter = match rust_log.filter(|text| !text.is_empty()) {
        Some(text) => EnvFilter::try_new(text)
            .map_err(|e| anyhow::anyhow!("environment variable RUST_LOG: {e}"))?,
        None if matches!(level, "debug" | "trace") => {
            EnvFilter::try_new(format!("{level},{QUIET}"))?
        }
        None => EnvFilter::try_new(format!("{level},{QUIET},{NO_ACCESS_LINES}"))?,
    };
    let base = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(false);
    // Fails only when a log was started before.
    let _ = match format {
        LogFormat::Json => base.with(lines.json()).try_init(),
        LogFormat::Text => base.with(lines).try_init(),
    };
    Ok(())
}
