//! The rows of what holds for a client before it is served.

use super::{Args, HSL, HTTP, LOCATION_IF, ONE, Row, TWO, row};

pub(super) const ROWS: &[Row] = &[
    row("set_real_ip_from", HSL, ONE),
    row("real_ip_header", HSL, ONE),
    row("real_ip_recursive", HSL, Args::Flag),
    row("limit_req_zone", HTTP, Args::Between(3, 4)),
    row("limit_req", HSL, Args::Between(1, 3)),
    row("limit_req_status", HSL, ONE),
    row("limit_req_log_level", HSL, ONE),
    row("limit_req_dry_run", HSL, Args::Flag),
    row("limit_conn_zone", HTTP, TWO),
    row("limit_conn", HSL, TWO),
    row("limit_conn_status", HSL, ONE),
    row("limit_conn_log_level", HSL, ONE),
    row("limit_conn_dry_run", HSL, Args::Flag),
    row("auth_request", HSL, ONE),
    row("auth_request_set", HSL, TWO),
    row("auth_delay", HSL, ONE),
    row("limit_rate", HSL | LOCATION_IF, ONE),
    row("limit_rate_after", HSL | LOCATION_IF, ONE),
];
