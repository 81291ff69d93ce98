//! Who may say of whom that it is gone: by example, by all combinations, and by histories.

use super::*;

const T: i64 = 1_700_000_000_000;

fn lease(node_id: &str, since_ms: i64, renewed_ms: i64) -> Lease {
    Lease {
        node_id: node_id.to_owned(),
        since_ms,
        renewed_ms,
        now_ms: renewed_ms,
    }
}

#[test]
fn a_run_goes_on_until_a_gap_or_a_clock_set_back() {
    let first = Lease::renewed(None, "a", T);
    assert_eq!((first.since_ms, first.renewed_ms), (T, T));
    let next = |at| Lease::renewed(Some(&first), "a", at).since_ms;
    assert_eq!(next(T), T);
    assert_eq!(next(T + RUN_GAP_MS), T);
    assert_eq!(next(T + RUN_GAP_MS + 1), T + RUN_GAP_MS + 1);
    assert_eq!(next(T - 1), T - 1);
    let again = Lease::renewed(Some(&first.ended()), "a", T + 1);
    assert_eq!(again.since_ms, T + 1, "given up, and begun anew");
}

#[test]
fn a_lease_lapses_three_seconds_after_its_renewal() {
    let held = lease("a", T - 60_000, T);
    for (after_ms, lapsed) in [
        (0, false),
        (3_000, false),
        (3_001, true),
        (-3_000, false),
        (-3_001, true),
    ] {
        assert_eq!(held.lapsed_at(T + after_ms), lapsed, "{after_ms} ms after");
    }
    assert!(held.ended().lapsed_at(T));
    assert!(!held.sweepable_at(T + 23_000) && held.sweepable_at(T + 23_001));
    assert!(held.ended().sweepable_at(T));
}

#[test]
fn only_an_unbroken_run_of_three_seconds_judges() {
    for (since, renewed, may) in [
        (-3_000, 0, true),
        (-2_999, 0, false),
        (-60_000, -1_500, true),
        (-60_000, -1_501, false),
        (-60_000, 1, false),
        (0, 0, false),
    ] {
        let own = lease("b", T + since, T + renewed);
        assert_eq!(own.may_judge_at(T), may, "{since} {renewed}");
    }
}

#[test]
fn an_owner_without_a_lease_is_judged_by_its_signs() {
    let see = |heartbeat_ms, own| {
        let owner = None;
        let now_ms = T;
        let sight = Sight {
            now_ms,
            own,
            owner,
            heartbeat_ms,
        };
        sight.owner_is_there(T - 20_001)
    };
    assert!(!see(None, None));
    assert!(!see(Some(T - 20_001), None));
    assert!(see(Some(T - 20_000), None));
    let run = |ms| Some(lease("b", T - ms, T));
    assert!(
        see(None, run(19_999)),
        "it may have been the store that was away"
    );
    assert!(!see(None, run(20_000)));
    assert!(
        Sight {
            now_ms: T,
            ..Sight::default()
        }
        .owner_is_there(T - 20_000)
    );
}

#[test]
fn every_combination_of_owner_and_judge() {
    let ages = [-4_000, -3_000, -1, 0, 1_500, 1_501, 3_000, 3_001, 60_000];
    for owner_age in ages {
        for own_age in ages {
            for own_run in [0, 2_999, 3_000, 90_000] {
                let own = lease("b", T - own_run, T - own_age);
                let sight = Sight {
                    now_ms: T,
                    own: Some(own.clone()),
                    owner: Some(lease("a", T - 90_000, T - owner_age)),
                    heartbeat_ms: None,
                };
                let lapsed = !(-3_000..=3_000).contains(&owner_age);
                let judge = (0..=1_500).contains(&own_age) && own_run >= 3_000;
                let there = sight.owner_is_there(0);
                assert_eq!(there, !(lapsed && judge), "{owner_age} {own_age} {own_run}");
                let unseen = Sight { own: None, ..sight };
                assert!(
                    unseen.owner_is_there(0),
                    "without a lease nobody judges one"
                );
            }
        }
    }
}
