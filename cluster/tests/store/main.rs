//! The store from outside: one contract for every implementation, and what disks and crashes do
//! to the embedded one, and MongoDB to the other.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is a test"
)]

mod apps;
mod clocks;
mod contract;
mod crash;
mod disk;
mod embedded;
mod embedded_records;
mod faults;
mod mongo;
mod mongo_indexes;
mod mongo_records;
mod secured;
mod servers;
mod watch;
