//! The rows of what holds for a client before it is served.

use super::{Args, HSL, ONE, Row, row};

pub(super) const ROWS: &[Row] = &[
    row("set_real_ip_from", HSL, ONE),
    row("real_ip_header", HSL, ONE),
    row("real_ip_recursive", HSL, Args::Flag),
];
