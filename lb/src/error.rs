//! What can go wrong before the first connection: all of it the administrator's to mend.

use weir_conf::nginx::Pos;

/// Why the load balancer does not start.
#[derive(Debug, thiserror::Error)]
pub enum LbError {
    /// An address cannot be listened on: taken, not ours, or no right to it.
    #[error("[emerg] bind() to {addr} failed ({}) in {at}", os_text(.source))]
    Bind {
        /// The address as nginx writes it.
        addr: String,
        /// Where its `listen` stands.
        at: Pos,
        /// The system's reason; its kind tells "in use" from "permission denied".
        source: std::io::Error,
    },
    /// A log cannot be opened.
    #[error("[emerg] open() \"{path}\" failed ({})", os_text(.source))]
    Log {
        /// The file.
        path: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// An upstream takes its peers from a store that this process does not share.
    #[error(
        "[emerg] \"cluster\" needs the cluster's store: set db.type=mongodb and db.host in {at}"
    )]
    NoStore {
        /// Where the directive stands.
        at: Pos,
    },
    /// A metric of this name is already there: two balancers on one registry.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// A certificate, a key or a list that cannot be read or does not fit.
    #[error("[emerg] {message} in {at}")]
    Tls {
        /// nginx's words for it.
        message: String,
        /// Where its directive stands.
        at: Pos,
    },
    /// An upstream address that the system's socket type does not take.
    #[error("[emerg] invalid upstream address \"{addr}\" in {at}")]
    Upstream {
        /// The address as written.
        addr: String,
        /// Where its upstream stands.
        at: Pos,
    },
}

/// The system's reason as nginx writes it: `98: Address already in use`.
fn os_text(error: &std::io::Error) -> String {
    let text = error.to_string();
    let Some(code) = error.raw_os_error() else {
        return text;
    };
    let plain = text.strip_suffix(&format!(" (os error {code})"));
    format!("{code}: {}", plain.unwrap_or(&text))
}
