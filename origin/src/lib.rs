//! Takes publishers in, cuts their media, and serves the pieces to edges.

pub mod ingest;
