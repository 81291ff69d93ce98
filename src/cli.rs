//! The command line: which roles, which file, and nothing more. Everything else is a setting, so
//! that a file, the environment and a container's manifest can all say it.

use clap::{Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// An edge-first live-streaming CDN: load balancer, edges and origins in one binary.
#[derive(Debug, Parser)]
#[command(
    name = "weir",
    version,
    max_term_width = 100,
    args_conflicts_with_subcommands = true
)]
pub(crate) struct Cli {
    /// Another task than running roles
    #[command(subcommand)]
    pub(crate) task: Option<Task>,

    /// The one role to run; without it the file's `server.mode` decides (all three, if it is silent)
    #[arg(value_enum)]
    pub(crate) role: Option<Role>,

    /// Properties file; without it every setting has its default
    #[arg(short, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Test the configuration and exit
    #[arg(short)]
    pub(crate) test: bool,
}

/// What the binary does besides.
#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    Load(Box<weir_load::Args>),
}

/// A role of the house.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Balances viewers over edges and publishers over origins
    Lb,
    /// Caches and serves streams to viewers
    Edge,
    /// Takes publishers in, cuts their streams, serves the pieces to edges
    Origin,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
        let cli = Cli::try_parse_from(["weir", "edge", "-c", "edge.properties", "-t"]).unwrap();
        assert_eq!((cli.role, cli.test), (Some(Role::Edge), true));
        assert!(Cli::try_parse_from(["weir", "orgin"]).is_err());
        let load = ["weir", "load", "--http", "http://127.0.0.1:5080/LiveApp"];
        let cli = Cli::try_parse_from(load).unwrap();
        assert!(matches!(cli.task, Some(Task::Load(_))) && cli.role.is_none());
        assert!(Cli::try_parse_from(["weir", "-t", "load"]).is_err());
    }
}
