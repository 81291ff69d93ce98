//! `proxy_cache_path` and the `proxy_cache` family.

use super::{http, message};
use crate::nginx::model::Action;
use crate::nginx::model::cache::{CacheZone, ProxyCache};

/// What the first location of a server says of caching.
fn cache(outer: &str, inner: &str) -> Option<ProxyCache> {
    let config = http(&format!(
        "proxy_cache_path /c/../c keys_zone=a:1m; proxy_cache_path d keys_zone=b:64k; {outer}
         server {{ listen 81; location / {{ proxy_pass http://127.0.0.1; {inner} }} }}"
    ))
    .unwrap();
    let server = config.http.unwrap().servers.remove(0);
    match server.locations.into_iter().next().unwrap().action {
        Action::Proxy(proxy) => proxy.cache.map(|cache| *cache),
        _ => panic!("not a proxy"),
    }
}

#[test]
fn paths_have_their_parameters() {
    let config = http(
        "proxy_cache_path /var/c levels=1:2 keys_zone=z:10m max_size=1g inactive=60m
           use_temp_path=off min_free=1g loader_files=9 manager_sleep=1s; server { listen 81; }",
    )
    .unwrap();
    let path = &config.http.as_ref().unwrap().caches[0];
    assert_eq!((path.name.as_str(), path.path.as_str()), ("z", "/var/c"));
    assert_eq!((path.keys_bytes, path.bytes_max), (10 << 20, Some(1 << 30)));
    assert_eq!(
        (path.inactive_ms, path.levels.as_slice()),
        (3_600_000, &[1, 2][..])
    );
    let told: Vec<&str> = config.noops().iter().map(|it| it.what.as_str()).collect();
    assert_eq!(told.len(), 6, "{told:?}");
    assert!(told[0].contains("\"levels\"") && told[5].contains("the directory /var/c"));
}

#[test]
fn faults_are_nginxs() {
    let path = |text: &str| message(http(&format!("proxy_cache_path /c {text};")));
    for (text, wanted) in [
        (
            "levels=1",
            "\"proxy_cache_path\" must have \"keys_zone\" parameter",
        ),
        ("keys_zone=a", "invalid keys zone size \"keys_zone=a\""),
        (
            "keys_zone=a:1k",
            "invalid keys zone size \"keys_zone=a:1k\"",
        ),
        ("keys_zone=a:1m levels=3", "invalid \"levels\" \"levels=3\""),
        (
            "keys_zone=a:1m levels=1:1:1:1",
            "invalid \"levels\" \"levels=1:1:1:1\"",
        ),
        ("keys_zone=a:1m inactive=x", "invalid inactive value \"x\""),
        ("keys_zone=a:1m max_size=x", "invalid max_size value \"x\""),
        (
            "keys_zone=a:1m use_temp_path=x",
            "invalid use_temp_path value \"x\", it must be",
        ),
        ("keys_zone=a:1m what=x", "invalid parameter \"what=x\""),
        (
            "keys_zone=a:1m; proxy_cache_path /d keys_zone=a:1m",
            "duplicate zone \"a\"",
        ),
        (
            "keys_zone=a:1m; proxy_cache b",
            "\"proxy_cache\" zone \"b\" is unknown",
        ),
        (
            "keys_zone=a:1m; proxy_cache a; proxy_cache a",
            "is duplicate",
        ),
        (
            "keys_zone=a:1m; proxy_cache_valid 200 x",
            "invalid time value \"x\"",
        ),
        (
            "keys_zone=a:1m; proxy_cache_valid 99 1m",
            "invalid status \"99\"",
        ),
        (
            "keys_zone=a:1m; proxy_cache_methods PUT",
            "invalid value \"PUT\"",
        ),
        (
            "keys_zone=a:1m; proxy_cache_use_stale http_501",
            "invalid value \"http_501\"",
        ),
        (
            "keys_zone=a:1m; proxy_store on",
            "\"proxy_store\" is not supported by weir yet",
        ),
    ] {
        let text = path(text);
        assert!(
            text.contains(wanted) && text.ends_with("in t.conf:3"),
            "{text}"
        );
    }
}

#[test]
fn locations_inherit_and_have_nginxs_defaults() {
    assert_eq!(cache("proxy_cache a;", "proxy_cache off;"), None);
    assert_eq!(cache("proxy_cache_valid 1m;", ""), None);
    let plain = cache("proxy_cache b;", "").unwrap();
    assert_eq!(plain.zone, Some(CacheZone::At(1)));
    assert_eq!(
        (plain.min_uses, plain.lock, plain.convert_head),
        (1, false, true)
    );
    assert_eq!((plain.lock_age_ms, plain.lock_timeout_ms), (5000, 5000));
    let full = cache(
        "proxy_cache a; proxy_cache_valid 200 1m; proxy_cache_valid any 1s;
         proxy_no_cache $arg_a $arg_b; proxy_cache_bypass $arg_c;",
        "proxy_cache_bypass $arg_d; proxy_cache_use_stale updating error http_500;
         proxy_cache_methods POST; proxy_cache_max_range_offset 1k; proxy_cache_key x;",
    )
    .unwrap();
    assert_eq!((full.no_cache.len(), full.bypass.len()), (2, 1));
    let valid: Vec<_> = full
        .valid
        .iter()
        .map(|it| (it.statuses.len(), it.time_ms))
        .collect();
    assert_eq!(valid, [(1, 60_000), (0, 1000)]);
    assert!(full.post && full.use_stale.updating && full.use_stale.error);
    assert_eq!(
        (full.use_stale.timeout, full.use_stale.statuses.as_slice()),
        (false, &[500][..])
    );
    assert_eq!(full.max_range_offset, 1024);
    let named = cache("", "proxy_cache $arg_z;").unwrap();
    assert!(matches!(named.zone, Some(CacheZone::Named(_))));
    let three = cache("proxy_cache a; proxy_cache_valid 5m;", "").unwrap();
    assert_eq!(three.valid[0].statuses, [200, 301, 302]);
    let forced = cache("", "proxy_force_ranges on;").unwrap();
    assert!(forced.zone.is_none() && forced.force_ranges);
}
