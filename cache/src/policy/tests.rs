//! The policy against RFC 9111's words, then against noise.

use super::*;
use http::HeaderValue;
use proptest::prelude::*;

const RULES: Rules = Rules {
    ttl_override_ms: None,
    negative_ttl_ms: 1_000,
    stale_if_error_ms: 10_000,
};

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        map.append(*name, HeaderValue::from_str(value).unwrap());
    }
    map
}

fn control(value: &str) -> CacheControl {
    CacheControl::parse(&headers(&[("cache-control", value)]))
}

fn judged(status: u16, pairs: &[(&'static str, &str)], rules: &Rules) -> Verdict {
    judge(
        StatusCode::from_u16(status).unwrap(),
        &headers(pairs),
        0,
        rules,
    )
}

fn stored(status: u16, cache_control: &str) -> Option<Lifetime> {
    match judged(status, &[("cache-control", cache_control)], &RULES) {
        Verdict::Store(lifetime) => Some(lifetime),
        Verdict::Pass(_) => None,
    }
}

#[test]
fn directives_are_read_whatever_their_case_spaces_and_quotes() {
    let read = control("Max-Age = \"60\" ,IMMUTABLE, no-cache=\"a,max-age=9\", s-maxage=5");
    assert_eq!(read.max_age_s, Some(60));
    assert_eq!(read.s_maxage_s, Some(5));
    assert!(read.immutable && read.no_cache);
}

#[test]
fn of_two_values_the_first_counts_and_nonsense_is_stale() {
    assert_eq!(control("max-age=1, max-age=100").max_age_s, Some(1));
    assert_eq!(control("max-age=-5").max_age_s, Some(0));
    assert_eq!(control("max-age").max_age_s, Some(0));
    assert_eq!(control("max-age=1.5").max_age_s, Some(0));
    assert_eq!(
        control("max-age=99999999999999999999999").max_age_s,
        Some(DELTA_SECONDS_MAX)
    );
}

#[test]
fn segments_and_playlists_live_as_the_origin_says() {
    assert_eq!(
        stored(200, "max-age=3600, immutable").unwrap().fresh_ms,
        3_600_000
    );
    assert_eq!(stored(200, "max-age=1").unwrap().fresh_ms, 1_000);
    assert_eq!(
        stored(200, "max-age=1, s-maxage=7").unwrap().fresh_ms,
        7_000
    );
}

#[test]
fn what_may_not_be_stored_is_not() {
    use PassReason::{NoCache, NoLifetime, NoStore, Private, Status, VaryAny};
    let pass = |status, pairs: &[(&'static str, &str)]| judged(status, pairs, &RULES);
    let cc = "cache-control";
    assert_eq!(
        pass(200, &[(cc, "no-store, max-age=9")]),
        Verdict::Pass(NoStore)
    );
    assert_eq!(
        pass(200, &[(cc, "private, max-age=9")]),
        Verdict::Pass(Private)
    );
    assert_eq!(
        pass(200, &[(cc, "no-cache, max-age=9")]),
        Verdict::Pass(NoCache)
    );
    assert_eq!(pass(500, &[(cc, "max-age=9")]), Verdict::Pass(Status));
    assert_eq!(pass(206, &[(cc, "max-age=9")]), Verdict::Pass(Status));
    assert_eq!(pass(200, &[]), Verdict::Pass(NoLifetime));
    assert_eq!(
        pass(200, &[(cc, "max-age=9"), ("vary", "accept, *")]),
        Verdict::Pass(VaryAny)
    );
    assert_eq!(pass(200, &[(cc, "s-maxage=0")]), Verdict::Pass(NoLifetime));
    assert!(!NoStore.may_share() && !Private.may_share() && Status.may_share());
}

#[test]
fn must_understand_outranks_no_store_for_a_known_status_only() {
    assert!(stored(200, "must-understand, no-store, max-age=5").is_some());
    assert!(stored(207, "must-understand, no-store, max-age=5").is_none());
}

#[test]
fn not_found_is_believed_briefly() {
    let gone = stored(404, "max-age=3600").unwrap();
    assert_eq!((gone.fresh_ms, gone.negative), (1_000, true));
    assert_eq!(stored(404, "").unwrap().fresh_ms, 1_000);
    assert_eq!(stored(404, "max-age=0"), None);
    assert_eq!(gone.stale_if_error_ms, 0);
}

#[test]
fn an_override_replaces_the_lifetime_but_forbids_stay() {
    let rules = Rules {
        ttl_override_ms: Some(250),
        ..RULES
    };
    let cc = "cache-control";
    let Verdict::Store(lifetime) = judged(200, &[(cc, "max-age=9")], &rules) else {
        panic!("should be stored");
    };
    assert_eq!(lifetime.fresh_ms, 250);
    assert!(matches!(
        judged(200, &[(cc, "no-store")], &rules),
        Verdict::Pass(_)
    ));
    let Verdict::Store(gone) = judged(404, &[], &rules) else {
        panic!("should be stored");
    };
    assert_eq!(gone.fresh_ms, 1_000);
}

#[test]
fn age_of_the_path_and_the_wait_count() {
    let head = headers(&[("cache-control", "max-age=10"), ("age", "4")]);
    let Verdict::Store(life) = judge(StatusCode::OK, &head, 500, &RULES) else {
        panic!("should be stored");
    };
    assert_eq!(life.age_ms(0), 4_500);
    assert_eq!(life.standing(5_499), Standing::Fresh);
    assert_eq!(life.standing(5_500), Standing::StaleIfError);
    assert_eq!(life.standing(15_499), Standing::StaleIfError);
    assert_eq!(life.standing(15_500), Standing::Expired);
}

#[test]
fn stale_is_bounded_by_the_answer_and_the_operator() {
    let stale = |cc: &str| stored(200, cc).unwrap().stale_if_error_ms;
    assert_eq!(stale("max-age=1"), 10_000);
    assert_eq!(stale("max-age=1, stale-if-error=2"), 2_000);
    assert_eq!(stale("max-age=1, stale-if-error=9999"), 10_000);
    assert_eq!(stale("max-age=1, must-revalidate"), 0);
    assert_eq!(stale("max-age=1, s-maxage=1"), 0);
}

proptest! {
    #[test]
    fn noise_never_panics(value in proptest::collection::vec(any::<u8>(), 0..200), status in 100_u16..999) {
        let mut map = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_bytes(&value) {
            map.insert("cache-control", value.clone());
            map.insert("age", value);
        }
        let status = StatusCode::from_u16(status).unwrap();
        let _ = judge(status, &map, u64::MAX, &RULES);
    }

    #[test]
    fn standing_only_ever_worsens(fresh in 0_u64..1 << 40, age in 0_u64..1 << 40, stale in 0_u64..1 << 40, a in any::<u64>(), b in any::<u64>()) {
        let life = Lifetime { fresh_ms: fresh, initial_age_ms: age, stale_if_error_ms: stale, negative: false };
        let rank = |at| match life.standing(at) {
            Standing::Fresh => 0,
            Standing::StaleIfError => 1,
            Standing::Expired => 2,
        };
        prop_assert!(rank(a.min(b)) <= rank(a.max(b)));
    }

    #[test]
    fn what_forbids_storing_always_wins(max_age in 0_u64..1 << 32, word in prop::sample::select(vec!["no-store", "private", "no-cache"]), first: bool) {
        let text = if first { format!("{word}, max-age={max_age}") } else { format!("max-age={max_age}, {word}") };
        prop_assert!(stored(200, &text).is_none());
    }
}
