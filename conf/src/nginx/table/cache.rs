//! Rows of the cache of upstreams' answers: the `proxy_cache` family, `slice`.

use super::{Args, HSL, HTTP, ONE, Row, STREAMED, Support, no_op, row};

/// These directives.
pub(super) const ROWS: &[Row] = &[
    row("proxy_cache_path", HTTP, Args::AtLeast(2)),
    row("proxy_cache", HSL, ONE),
    row("proxy_cache_key", HSL, ONE),
    row("proxy_cache_valid", HSL, Args::AtLeast(1)),
    row("proxy_cache_bypass", HSL, Args::AtLeast(1)),
    row("proxy_no_cache", HSL, Args::AtLeast(1)),
    row("proxy_cache_methods", HSL, Args::AtLeast(1)),
    row("proxy_cache_min_uses", HSL, ONE),
    row("proxy_cache_use_stale", HSL, Args::AtLeast(1)),
    row("proxy_cache_lock", HSL, Args::Flag),
    row("proxy_cache_lock_age", HSL, ONE),
    row("proxy_cache_lock_timeout", HSL, ONE),
    row("proxy_cache_background_update", HSL, Args::Flag),
    row("proxy_cache_revalidate", HSL, Args::Flag),
    row("proxy_cache_convert_head", HSL, Args::Flag),
    row("proxy_cache_max_range_offset", HSL, ONE),
    row("proxy_force_ranges", HSL, Args::Flag),
    no_op(
        "postpone_output",
        HSL,
        ONE,
        "answers are written as they come",
    ),
    no_op("proxy_temp_file_write_size", HSL, ONE, STREAMED),
    Row {
        support: Support::Refused,
        ..row("proxy_cache_purge", HSL, Args::AtLeast(1))
    },
    // `off` alone is taken.
    row("proxy_store", HSL, ONE),
    Row {
        support: Support::Refused,
        ..row("proxy_store_access", HSL, Args::Between(1, 3))
    },
    Row {
        support: Support::Refused,
        ..row("slice", HSL, ONE)
    },
];
