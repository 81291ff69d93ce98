//! `weir load`: puts realistic load on a cluster and says what broke.
//!
//! Publishers send a looped clip over RTMP in real time; viewers watch over HLS as players do and
//! judge what they get. Who judges is pure (`watch/judge.rs`: lists and times in, faults out), who
//! publishes too (`publish/session.rs`: bytes in, bytes out); tasks at the rim give them sockets.
//!
//! This is a client like any other: it knows of the cluster what the public protocols say. It
//! borrows the origin's RTMP wire layer (chunks, AMF0) and the media room's FLV reader, and no
//! playlist or segment reader of the house, so that what the house writes is read by others.
//!
//! Exit codes: 0 nothing broke, 1 something did (or a target cannot be reached), 2 bad arguments.

mod args;
mod clip;
mod fault;
mod publish;
mod report;
mod run;
mod table;
mod tally;
mod target;
mod watch;

pub use args::Args;
pub use target::{HttpTarget, RtmpTarget};

use args::Plan;
use std::process::ExitCode;
use tokio::runtime::Builder;

/// Exit code for arguments that do not go together; clap's own for those it refuses itself.
const BAD_ARGS: u8 = 2;

/// Runs until the duration is over or Ctrl-C; blocks. `open_files` is the process's limit of open
/// files, if it has one: each publisher and each viewer is a connection.
pub fn run(args: Args, open_files: Option<u64>) -> ExitCode {
    let plan = match Plan::check(args, open_files) {
        Ok(plan) => plan,
        Err(error) => {
            table::complain(&error.to_string());
            return ExitCode::from(BAD_ARGS);
        }
    };
    let runtime = Builder::new_multi_thread()
        .enable_all()
        .thread_name("weir-load")
        .build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(run::run(plan)),
        Err(error) => Err(error.into()),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            table::complain(&error.to_string());
            ExitCode::FAILURE
        }
    }
}
