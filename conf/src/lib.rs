//! A node's settings, its applications' and the load balancer's nginx syntax: raw text to checked values.
//!
//! Text becomes values in two steps, each pure: raw (what was written, and where) and checked
//! (typed, in named units, in range). Files and the environment are read by whoever calls; every
//! error names the file and line, or the environment variable, what was found and what was
//! expected. Nothing here panics on what a user wrote, and every input has a size limit.

pub mod app;
pub mod nginx;
pub mod node;
