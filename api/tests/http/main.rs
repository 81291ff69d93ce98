//! The router asked over HTTP's types, on a real store in a file.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod apps;
mod broadcasts;
mod filters;
mod key_sets;
mod management;
mod nodes;
mod openapi;
mod pages;
mod rest;
mod support;
mod users;
