//! nginx's choices, on a clock held in the hand.

mod spread;

use super::{Balancer, Outcome, PeerSpec, Released, Rule, Standing};
use proptest::prelude::*;

fn weights(rule: Rule, weights: &[u32]) -> Balancer {
    Balancer::new(
        rule,
        weights.iter().map(|weight| PeerSpec {
            weight: *weight,
            ..spec()
        }),
    )
}

fn spec() -> PeerSpec {
    PeerSpec::default()
}

/// Requests that end before the next begins.
fn sequence(balancer: &mut Balancer, count: usize, now_ms: u64) -> Vec<usize> {
    (0..count)
        .map(|_| {
            let index = balancer.pick(&[], now_ms).unwrap();
            balancer.release(index, Outcome::Answered, now_ms);
            index
        })
        .collect()
}

#[test]
fn round_robin_is_smooth() {
    // The known sequence of nginx's algorithm for 5, 1, 1.
    let mut balancer = weights(Rule::RoundRobin, &[5, 1, 1]);
    assert_eq!(sequence(&mut balancer, 7, 0), [0, 0, 1, 0, 2, 0, 0]);
    let mut balancer = weights(Rule::RoundRobin, &[1, 1, 1]);
    assert_eq!(sequence(&mut balancer, 6, 0), [0, 1, 2, 0, 1, 2]);
}

#[test]
fn least_conn_fills_the_emptiest_for_its_weight() {
    let mut balancer = weights(Rule::LeastConn, &[1, 2]);
    let held: Vec<usize> = (0..9).map(|_| balancer.pick(&[], 0).unwrap()).collect();
    assert_eq!(held.iter().filter(|index| **index == 0).count(), 3);
    assert_eq!((balancer.active(0), balancer.active(1)), (3, 6));
    // One more free place at peer 0 draws the next request there.
    balancer.release(0, Outcome::Answered, 0);
    assert_eq!(balancer.pick(&[], 0), Some(0));
}

#[test]
fn least_conn_ties_go_round_by_weight() {
    let mut balancer = weights(Rule::LeastConn, &[1, 1, 1]);
    assert_eq!(sequence(&mut balancer, 6, 0), [0, 1, 2, 0, 1, 2]);
    let mut balancer = weights(Rule::LeastConn, &[3, 1]);
    let chosen = sequence(&mut balancer, 400, 0);
    assert_eq!(chosen.iter().filter(|index| **index == 0).count(), 300);
}

#[test]
fn a_slow_peer_gets_fewer() {
    // Peer 0 holds what it gets, the others answer at once: after two it gets no more.
    let mut balancer = weights(Rule::LeastConn, &[1, 1, 1]);
    let mut slow = 0;
    for _ in 0..1000 {
        let index = balancer.pick(&[], 0).unwrap();
        if index == 0 {
            slow += 1;
        } else {
            balancer.release(index, Outcome::Answered, 0);
        }
    }
    assert_eq!(slow, 1);
}

#[test]
fn a_failure_puts_a_peer_out_for_its_timeout() {
    let mut balancer = weights(Rule::RoundRobin, &[1, 1]);
    let index = balancer.pick(&[], 1000).unwrap();
    assert_eq!(
        balancer.release(index, Outcome::Failed, 1000),
        Released::PutOut
    );
    assert_eq!(sequence(&mut balancer, 4, 11_000), [1, 1, 1, 1]);
    // After fail_timeout one request tries it; until that ends the others stay away.
    let mut found = Vec::new();
    for _ in 0..4 {
        found.push(balancer.pick(&[], 11_001).unwrap());
    }
    assert_eq!(found.iter().filter(|index| **index == 0).count(), 1);
    for index in found {
        balancer.release(index, Outcome::Answered, 11_002);
    }
    // It answered: it is back for good.
    let chosen = sequence(&mut balancer, 10, 11_003);
    assert!(
        chosen.iter().filter(|index| **index == 0).count() >= 4,
        "{chosen:?}"
    );
}

#[test]
fn a_peer_that_fails_again_stays_out() {
    let mut balancer = weights(Rule::LeastConn, &[1, 1]);
    for round in 0..5_u64 {
        let now_ms = 20_000 * (round + 1);
        let first = balancer.pick(&[1], now_ms);
        assert_eq!(first, Some(0), "round {round}");
        balancer.release(0, Outcome::Failed, now_ms);
        assert_eq!(balancer.pick(&[1], now_ms + 10_000), None);
    }
}

#[test]
fn max_fails_counts_and_zero_never_puts_out() {
    let specs = [
        PeerSpec {
            max_fails: 3,
            ..spec()
        },
        PeerSpec {
            max_fails: 0,
            ..spec()
        },
    ];
    let mut balancer = Balancer::new(Rule::RoundRobin, specs);
    for failure in 1..=3 {
        assert_eq!(balancer.pick(&[1], 5), Some(0));
        let put_out = balancer.release(0, Outcome::Failed, 5) == Released::PutOut;
        assert_eq!(put_out, failure == 3);
    }
    assert_eq!(balancer.pick(&[1], 5), None);
    for _ in 0..10 {
        assert_eq!(balancer.pick(&[], 5), Some(1));
        assert_eq!(balancer.release(1, Outcome::Failed, 5), Released::Kept);
    }
}

#[test]
fn a_client_that_leaves_says_nothing_about_the_peer() {
    let mut balancer = weights(Rule::RoundRobin, &[1, 1]);
    let index = balancer.pick(&[], 1).unwrap();
    balancer.release(index, Outcome::Failed, 1);
    assert_eq!(balancer.pick(&[1], 20_000), Some(0));
    balancer.release(0, Outcome::Abandoned, 20_000);
    // Still on trial: nobody else is sent there before the next timeout.
    assert_eq!(balancer.pick(&[1], 20_001), None);
    assert_eq!(balancer.active(0), 0);
}

#[test]
fn a_group_of_one_is_never_put_out() {
    let mut balancer = weights(Rule::LeastConn, &[1]);
    for _ in 0..5 {
        assert_eq!(balancer.pick(&[], 0), Some(0));
        assert_eq!(balancer.release(0, Outcome::Failed, 0), Released::Kept);
    }
}

#[test]
fn backups_wait_for_the_others_to_be_gone() {
    let specs = [
        spec(),
        PeerSpec {
            backup: true,
            ..spec()
        },
        PeerSpec {
            down: true,
            ..spec()
        },
    ];
    let mut balancer = Balancer::new(Rule::LeastConn, specs);
    assert_eq!(balancer.tries(), 2);
    assert_eq!(sequence(&mut balancer, 3, 0), [0, 0, 0]);
    assert_eq!(balancer.pick(&[0], 0), Some(1));
    balancer.set_healthy(0, false, 0);
    assert_eq!(sequence(&mut balancer, 2, 0), [1, 1]);
    balancer.set_healthy(1, false, 0);
    assert_eq!(balancer.pick(&[], 0), None);
}

#[test]
fn max_conns_is_a_limit_on_each() {
    let specs = [
        PeerSpec {
            max_conns: 2,
            ..spec()
        },
        PeerSpec {
            max_conns: 1,
            ..spec()
        },
    ];
    let mut balancer = Balancer::new(Rule::LeastConn, specs);
    let mut held: Vec<usize> = (0..3).map(|_| balancer.pick(&[], 0).unwrap()).collect();
    held.sort_unstable();
    assert_eq!(held, [0, 0, 1]);
    assert_eq!(balancer.pick(&[], 0), None);
    balancer.release(1, Outcome::Answered, 0);
    assert_eq!(balancer.pick(&[], 0), Some(1));
}

#[test]
fn an_active_check_that_passes_wipes_the_record() {
    let mut balancer = weights(Rule::RoundRobin, &[1, 1]);
    assert_eq!(balancer.pick(&[1], 0), Some(0));
    balancer.release(0, Outcome::Failed, 0);
    balancer.set_healthy(0, false, 0);
    balancer.set_healthy(0, true, 0);
    assert_eq!(balancer.pick(&[1], 1), Some(0));
}

#[test]
fn peers_come_and_go_and_keep_their_numbers() {
    let mut balancer = weights(Rule::LeastConn, &[1]);
    let second = balancer.add(spec());
    assert_eq!((second, balancer.tries()), (1, 2));
    let mut held: Vec<usize> = (0..4).map(|_| balancer.pick(&[], 0).unwrap()).collect();
    held.sort_unstable();
    assert_eq!(held, [0, 0, 1, 1]);

    // Draining: nothing new, what is held stays, and it may come back.
    assert!(!balancer.set_standing(0, Standing::Draining));
    assert_eq!((balancer.pick(&[], 0), balancer.tries()), (Some(1), 1));
    assert_eq!(balancer.active(0), 2);
    balancer.set_standing(0, Standing::Serving);
    assert_eq!(balancer.pick(&[], 0), Some(0));

    // Leaving: forgotten with its last connection.
    assert!(!balancer.set_standing(0, Standing::Leaving));
    let release = |balancer: &mut Balancer| balancer.release(0, Outcome::Answered, 0);
    assert_eq!(release(&mut balancer), Released::Kept);
    assert_eq!(release(&mut balancer), Released::Kept);
    assert_eq!(release(&mut balancer), Released::Gone);
    assert_eq!(
        release(&mut balancer),
        Released::Kept,
        "there is no such peer"
    );
    assert!(
        balancer.set_standing(0, Standing::Serving),
        "nor does it come back"
    );

    // One left: never put out. A new one has a new number.
    assert_eq!(balancer.release(1, Outcome::Failed, 0), Released::Kept);
    assert_eq!(balancer.add(spec()), 2);
    assert!(
        balancer.set_standing(2, Standing::Leaving),
        "idle: gone at once"
    );
    assert_eq!(balancer.pick(&[1], 0), None);
}

proptest! {
    /// Over any weights, whole cycles of round robin give each peer exactly its weight.
    #[test]
    fn round_robin_is_exact(given in proptest::collection::vec(1_u32..20, 1..8)) {
        let mut balancer = weights(Rule::RoundRobin, &given);
        let cycle: u32 = given.iter().sum();
        let chosen = sequence(&mut balancer, cycle as usize * 3, 0);
        for (index, weight) in given.iter().enumerate() {
            let count = chosen.iter().filter(|found| **found == index).count();
            prop_assert_eq!(count, *weight as usize * 3);
        }
    }

    /// Whatever happens, a pick is never of a tried peer, counts never go astray, and a peer
    /// that was not usable is not chosen.
    #[test]
    fn nothing_goes_astray(
        steps in proptest::collection::vec((0_u8..8, 0_usize..4, 0_u64..30_000), 0..200),
        least in any::<bool>(),
    ) {
        let rule = if least { Rule::LeastConn } else { Rule::RoundRobin };
        let specs = (0..4).map(|n| PeerSpec {
            weight: n + 1, max_fails: n % 3, max_conns: n, backup: n == 3, ..spec()
        });
        let mut balancer = Balancer::new(rule, specs);
        let mut held: Vec<usize> = Vec::new();
        let mut now_ms = 0;
        for (step, peer, gap_ms) in steps {
            now_ms += gap_ms;
            match step {
                0..=2 => if let Some(index) = balancer.pick(&[peer], now_ms) {
                    prop_assert_ne!(index, peer);
                    held.push(index);
                },
                3 | 4 => if let Some(index) = held.pop() {
                    let outcome = if step == 3 { Outcome::Answered } else { Outcome::Failed };
                    balancer.release(index, outcome, now_ms);
                },
                5 => balancer.set_healthy(peer, now_ms % 2 == 0, now_ms),
                6 => { balancer.set_standing(peer, Standing::Draining); }
                _ => { balancer.set_standing(peer, Standing::Serving); }
            }
            for index in 0..4 {
                let count = held.iter().filter(|held| **held == index).count();
                prop_assert_eq!(balancer.active(index) as usize, count);
                prop_assert!(index == 0 || count <= index);
            }
        }
    }
}
