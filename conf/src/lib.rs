//! stub

pub mod nginx;
