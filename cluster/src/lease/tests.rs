//! Who may say of whom that it is gone: by example, by all combinations, and by histories.

use super::*;

const T: i64 = 1_700_000_000_000;

fn lease(node_id: &str, since_ms: i64, renewed_ms: i64) -> Lease {
    Lease {
        node_id: node_id.to_owned(),
        since_ms,
        renewed_ms,
        renewals_ms: (0..8)
            .map(|n| renewed_ms - n * 1_000)
            .filter(|at| *at >= since_ms)
            .collect(),
        now_ms: renewed_ms,
    }
}

#[test]
fn a_run_goes_on_until_a_gap_or_a_clock_set_back() {
    let first = Lease::renewed(None, "a", T);
    assert_eq!((first.since_ms, first.renewed_ms), (T, T));
    let next = |at| Lease::renewed(Some(&first), "a", at).since_ms;
    assert_eq!(next(T), T);
    assert_eq!(next(T + LEASE_MS), T);
    assert_eq!(next(T + LEASE_MS + 1), T + LEASE_MS + 1);
    assert_eq!(next(T - 1), T - 1);
    let late = Lease::renewed(Some(&first), "a", T + 60_000);
    assert_eq!(late.renewals_ms, [T + 60_000, T], "the gap stays known");
    let back = Lease::renewed(Some(&late), "a", T + 59_999);
    assert_eq!(back.renewals_ms, [T + 59_999]);
    let many = (0..20).fold(first.clone(), |lease, n| {
        Lease::renewed(Some(&lease), "a", T + n)
    });
    assert_eq!(many.renewals_ms.len(), RENEWALS_KEPT);
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

/// A judge that renewed at these times, and how long it says after `T` that an owner who renewed at
/// `T` for the last time has lapsed.
fn judged_after(renewals_ms: &[i64]) -> Option<i64> {
    let owner = lease("a", T - 60_000, T);
    (0..100_000_i64).step_by(100).find(|now_ms| {
        let mut judge = None;
        for at in renewals_ms.iter().filter(|at| *at <= now_ms) {
            judge = Some(Lease::renewed(judge.as_ref(), "b", T + at));
        }
        judge.is_some_and(|judge| judge.sees_lapsed(&owner, T + now_ms))
    })
}

#[test]
fn a_judge_vouches_for_the_store_by_its_own_renewals() {
    let every = |step: usize| (-3_000_i64..20_000).step_by(step).collect::<Vec<i64>>();
    assert_eq!(judged_after(&every(1_000)), Some(3_100), "in step");
    assert_eq!(judged_after(&every(1_500)), Some(3_100));
    assert_eq!(judged_after(&every(2_000)), Some(5_100), "slow, and later");
    assert_eq!(
        judged_after(&every(4_000)),
        Some(7_100),
        "even if it lapses itself"
    );
    let outage = [-1_000, 0, 60_000, 61_000, 62_000, 63_000, 64_000];
    assert_eq!(
        judged_after(&outage),
        Some(63_100),
        "three seconds to come back"
    );
    let late = [50_500, 51_500, 52_500, 53_500, 54_500];
    assert_eq!(judged_after(&late), Some(53_600), "just come");
    let before = [-1_000, 0, 1_000, 2_000, 3_000, 60_000];
    assert_eq!(
        judged_after(&before),
        Some(3_100),
        "it was gone before the outage"
    );
    assert_eq!(
        judged_after(&[-1_000, 0]),
        None,
        "away itself: judges nobody"
    );
    assert_eq!(judged_after(&[]), None);
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
fn a_clock_that_went_back_is_judged_by_what_came_after() {
    let owner = lease("a", T, T + 60_000);
    let judge = |since_ms| lease("b", since_ms, T);
    assert!(
        judge(T - 4_000).sees_lapsed(&owner, T),
        "all would have renewed since"
    );
    assert!(!judge(T - 3_000).sees_lapsed(&owner, T));
    assert!(
        !judge(T - 4_000).sees_lapsed(&lease("a", T, T + 3_000), T),
        "a jitter"
    );
    assert!(!judge(T - 4_000).ended().sees_lapsed(&owner, T));
}

#[test]
fn absurd_times_do_not_overflow() {
    for at in [i64::MIN, -1, 0, i64::MAX] {
        for other in [i64::MIN, 0, i64::MAX] {
            for now in [i64::MIN, 0, T, i64::MAX] {
                let owner = Lease::renewed(None, "a", at);
                let judge = Lease::renewed(Some(&Lease::renewed(None, "b", at)), "b", other);
                let _ = judge.sees_lapsed(&owner, now);
                let _ = owner.sweepable_at(now);
                let _ = judge.has_run_for(i64::MAX, now);
            }
        }
    }
}

/// A node's renewals: each second by its own phase; while the store is away its call hangs, and
/// comes through within `late_ms` of its return.
fn renewals(phase_ms: i64, late_ms: i64, away: &[(i64, i64)], until_ms: i64) -> Vec<i64> {
    let mut times = Vec::new();
    let mut at_ms = phase_ms;
    while at_ms < until_ms {
        let outage = away.iter().find(|(from, to)| (*from..*to).contains(&at_ms));
        at_ms = outage.map_or(at_ms, |(_, to)| to + late_ms);
        times.push(at_ms);
        at_ms += 1_000;
    }
    times
}

/// A lease as it stands while time goes by.
struct Unrolled<'a> {
    renewals: &'a [i64],
    lease: Option<Lease>,
}

impl<'a> Unrolled<'a> {
    fn new(renewals: &'a [i64]) -> Self {
        Self {
            renewals,
            lease: None,
        }
    }

    fn at(&mut self, now_ms: i64) -> Option<&Lease> {
        while let Some((first, rest)) = self.renewals.split_first()
            && *first <= now_ms
        {
            self.lease = Some(Lease::renewed(self.lease.as_ref(), "n", *first));
            self.renewals = rest;
        }
        self.lease.as_ref()
    }
}

proptest::proptest! {
    /// Whatever the store goes through, nobody who is there is said to be gone; and somebody who is
    /// gone is said to be so within seconds of the store's being there.
    #[test]
    fn outages_lapse_nobody_and_hide_nobody_for_long(
        phases in (0_i64..1_000, 0_i64..1_000),
        late in (0_i64..450, 0_i64..450),
        lengths in proptest::collection::vec((1_000_i64..20_000, 1_i64..40_000), 0..6),
    ) {
        let mut away = Vec::new();
        let mut end_ms = 5_000;
        for (up_ms, away_ms) in lengths {
            away.push((end_ms + up_ms, end_ms + up_ms + away_ms));
            end_ms += up_ms + away_ms;
        }
        let until_ms = end_ms + 20_000;
        let owner = renewals(phases.0, late.0, &away, until_ms);
        let judge = renewals(phases.1, late.1, &away, until_ms);
        let (mut owners, mut judges) = (Unrolled::new(&owner), Unrolled::new(&judge));
        for now_ms in (0..until_ms).step_by(50) {
            let down = away.iter().any(|(from, to)| (*from..*to).contains(&now_ms));
            let both = owners.at(now_ms).zip(judges.at(now_ms));
            if let Some((owner, judge)) = both.filter(|_| !down) {
                let lapsed = judge.sees_lapsed(owner, now_ms);
                proptest::prop_assert!(!lapsed, "at {}: {:?} {:?}", now_ms, owner, judge);
            }
        }
        // Its node dies with the last outage.
        if let Some(gone) = Unrolled::new(&owner).at(end_ms) {
            let judged = Unrolled::new(&judge).at(end_ms + 6_000).cloned();
            proptest::prop_assert!(judged.unwrap().sees_lapsed(gone, end_ms + 6_000));
        }
    }
}
