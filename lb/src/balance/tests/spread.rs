//! Who gets what of 10,000 requests, beside what nginx (1.22, one worker) gave each of three
//! servers of weights 5, 1 and 2 for the same keys and addresses. What is hashed must be the same
//! to the request; what is random must be so within three standard deviations.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::super::{Balancer, Outcome, PeerSpec, Rule, Walk, address_key};

const REQUESTS: u32 = 10_000;

fn three(rule: Rule) -> Balancer {
    let spec = |weight, port: u16| PeerSpec {
        server: format!("127.0.0.1:{port}").into(),
        weight,
        ..PeerSpec::default()
    };
    let specs = [spec(5, 19_001), spec(1, 19_002), spec(2, 19_003)];
    Balancer::new(rule, specs).seeded(7)
}

/// How many each got, and who got the first 24.
fn run(rule: Rule, key: impl Fn(u32) -> Vec<u8>) -> ([u32; 3], Vec<usize>) {
    let mut balancer = three(rule);
    let mut counts = [0; 3];
    let mut first = Vec::new();
    for request in 0..REQUESTS {
        let mut walk = Walk::new(key(request), None);
        let peer = balancer.pick_for(&mut walk, &[], 0).unwrap();
        balancer.release(peer, Outcome::Answered, 0);
        counts[peer] += 1;
        if request < 24 {
            first.push(peer);
        }
    }
    (counts, first)
}

fn key(request: u32) -> Vec<u8> {
    format!("key{request}").into_bytes()
}

#[test]
fn keys_meet_the_servers_that_nginx_gives_them() {
    assert_eq!(
        run(Rule::Hash, key),
        (
            [6249, 1250, 2501],
            vec![
                0, 0, 1, 0, 2, 0, 0, 2, 0, 2, 0, 0, 0, 1, 0, 2, 2, 0, 2, 0, 0, 2, 2, 0
            ]
        )
    );
    assert_eq!(
        run(Rule::Ring, key),
        (
            [6345, 1244, 2411],
            vec![
                0, 2, 0, 1, 0, 0, 0, 2, 0, 0, 1, 0, 0, 0, 0, 0, 0, 2, 2, 1, 2, 2, 0, 0
            ]
        )
    );
}

#[test]
fn addresses_meet_the_servers_that_nginx_gives_them() {
    let address = |request: u32| {
        let octet = |n: u32| u8::try_from(n).unwrap();
        let ip = Ipv4Addr::new(10, octet(request % 251), octet(request * 7 % 241), 7);
        address_key(Some(IpAddr::V4(ip)))
    };
    let (counts, first) = run(Rule::IpHash, address);
    assert_eq!((counts, first), ([6288, 1287, 2425], vec![1; 24]));
    // The last octet says nothing, of IPv6 every one does.
    let v4 = |last| address_key(Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, last))));
    assert_eq!(v4(1), v4(200));
    let v6 = |last| address_key(Some(IpAddr::V6(Ipv6Addr::new(1, 2, 3, 4, 5, 6, 7, last))));
    assert_ne!(v6(1), v6(2));
}

#[test]
fn turns_and_ties_go_by_weight() {
    for rule in [Rule::RoundRobin, Rule::LeastConn, Rule::LeastTime] {
        let (counts, first) = run(rule, |_| Vec::new());
        assert_eq!(counts, [6250, 1250, 2500], "{rule:?}");
        assert_eq!(first[..8], [0, 2, 0, 0, 1, 0, 2, 0], "{rule:?}");
    }
}

#[test]
fn chance_is_as_fair_as_nginxs() {
    // nginx gave 6280, 1272, 2448 and 2961, 2427, 4612.
    let near = |counts: [u32; 3], shares: [f64; 3]| {
        for (count, share) in counts.into_iter().zip(shares) {
            let mean = f64::from(REQUESTS) * share;
            let deviation = (mean * (1.0 - share)).sqrt();
            let off = (f64::from(count) - mean).abs();
            assert!(off < 3.0 * deviation, "{counts:?}, wanted about {mean}");
        }
    };
    near(run(Rule::Random, |_| Vec::new()).0, [0.625, 0.125, 0.25]);
    // All idle: the second of two different ones.
    let second =
        |own: f64, others: [f64; 2]| others.map(|first| first * own / (1.0 - first)).iter().sum();
    near(
        run(Rule::RandomTwo, |_| Vec::new()).0,
        [
            second(0.625, [0.125, 0.25]),
            second(0.125, [0.625, 0.25]),
            second(0.25, [0.625, 0.125]),
        ],
    );
}

#[test]
fn an_empty_key_is_round_robin() {
    for rule in [Rule::Hash, Rule::Ring] {
        let (counts, _) = run(rule, |_| Vec::new());
        assert_eq!(counts, [6250, 1250, 2500]);
    }
}

#[test]
fn a_slow_peer_is_spared_until_its_time_is_forgotten() {
    let mut balancer = Balancer::new(Rule::LeastTime, [PeerSpec::default(), PeerSpec::default()]);
    balancer.timed(0, 4000, 1000);
    balancer.timed(1, 30, 1000);
    let mut pick = |now_ms| {
        let peer = balancer.pick(&[], now_ms).unwrap();
        balancer.release(peer, Outcome::Answered, now_ms);
        peer
    };
    assert_eq!([pick(1000), pick(1000), pick(5000)], [1, 1, 1]);
    // 4000 ms halved eight times is no time.
    assert_eq!(pick(9000) + pick(9000), 1);
}

#[test]
fn a_peer_that_is_well_again_begins_slowly() {
    let specs = [10_000, 0].map(|slow_start_ms| PeerSpec {
        slow_start_ms,
        ..PeerSpec::default()
    });
    let mut balancer = Balancer::new(Rule::RoundRobin, specs);
    balancer.set_healthy(0, false, 0);
    balancer.set_healthy(0, true, 1000);
    let mut share = |now_ms| {
        let picks = (0..1000).map(|_| {
            let peer = balancer.pick(&[], now_ms).unwrap();
            balancer.release(peer, Outcome::Answered, now_ms);
            peer
        });
        picks.filter(|peer| *peer == 0).count()
    };
    assert!(share(1000) <= 2);
    assert!((90..=92).contains(&share(2000)), "a tenth of the other's");
    assert!((330..=335).contains(&share(6000)), "half of the other's");
    assert_eq!(share(11_000), 500);
}

#[test]
fn who_sticks_to_a_peer_gets_it_while_it_lives() {
    let mut balancer = three(Rule::LeastConn);
    let pick = |balancer: &mut Balancer, tried: &[usize]| {
        let mut walk = Walk::new(Vec::new(), Some(1));
        balancer.pick_for(&mut walk, tried, 0)
    };
    assert_eq!(
        [pick(&mut balancer, &[]), pick(&mut balancer, &[])],
        [Some(1); 2]
    );
    assert_ne!(pick(&mut balancer, &[1]), Some(1));
    balancer.set_healthy(1, false, 0);
    assert_ne!(pick(&mut balancer, &[]), Some(1));
}

proptest! {
    /// A server that goes takes only its own keys along.
    #[test]
    fn a_ring_stays_consistent(
        count in 2_usize..8, gone in 0_usize..8, weight in 1_u32..4, keys in 1_u32..60,
    ) {
        let gone = gone % count;
        let spec = |n: usize| PeerSpec {
            server: format!("10.0.0.{n}:80").into(), weight, ..PeerSpec::default()
        };
        let mut balancer = Balancer::new(Rule::Ring, (0..count).map(spec));
        for request in 0..keys {
            let mut at = |tried: &[usize]| {
                let mut walk = Walk::new(key(request), None);
                let peer = balancer.pick_for(&mut walk, tried, 0).unwrap();
                balancer.release(peer, Outcome::Answered, 0);
                peer
            };
            let (before, after) = (at(&[]), at(&[gone]));
            prop_assert!(before == gone || before == after);
            prop_assert_ne!(after, gone);
        }
    }

    /// Whatever points at a peer, one that was tried or is full is never taken, and one that can
    /// be used is found in the end.
    #[test]
    fn every_rule_keeps_the_rules(
        rule in prop::sample::select(vec![
            Rule::IpHash, Rule::Hash, Rule::Ring, Rule::Random, Rule::RandomTwo, Rule::LeastTime,
        ]),
        weights in proptest::collection::vec(1_u32..2000, 1..7),
        bytes in proptest::collection::vec(any::<u8>(), 0..20),
        down in 0_usize..7,
    ) {
        let specs = weights.iter().enumerate().map(|(n, weight)| PeerSpec {
            server: format!("h{n}").into(), weight: *weight, max_conns: 1, down: n == down,
            ..PeerSpec::default()
        });
        let mut balancer = Balancer::new(rule, specs);
        let mut tried = Vec::new();
        let mut walk = Walk::new(bytes, None);
        let usable = weights.len() - usize::from(down < weights.len());
        for _ in 0..usable {
            let peer = balancer.pick_for(&mut walk, &tried, 0);
            prop_assert!(peer.is_some_and(|peer| peer != down && !tried.contains(&peer)));
            tried.extend(peer);
        }
        prop_assert_eq!(balancer.pick_for(&mut walk, &tried, 0), None);
        prop_assert_eq!(balancer.pick_for(&mut walk, &[], 0), None, "all are full");
    }
}
