//! An application's REST, as its clients use it.

mod blocks;
mod carried;
mod commands;
mod making;
mod many;
mod mongo;
mod recordings;
mod viewers;
mod watched;

/// Where the application's REST begins.
pub(crate) const REST: &str = "/LiveApp/rest/v2";
