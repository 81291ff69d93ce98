//! What the node directory says against what a group has: the steps that bring them together.
//! Pure.
//!
//! The rule for a node that looks dead: its record may be old because the store was away, so it
//! leaves only when its health check says so too. A node whose record was deleted leaves at once.

use std::collections::BTreeMap;

use weir_cluster::{NodeRecord, NodeRole};
use weir_conf::nginx::Addr;
use weir_conf::nginx::model::{NodeKind, UpstreamNodes};

use crate::balance::Load;

/// How a node stands by its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// It may get connections.
    Alive,
    /// It is on its way out.
    Draining,
    /// Its last heartbeat is too old.
    Dead,
}

/// A node that belongs in a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) node_id: String,
    /// `host:port` or `unix:/path`, as the node tells it.
    pub(crate) address: String,
    pub(crate) life: Life,
    /// Last heartbeat, ms since the Unix epoch.
    pub(crate) updated_ms: i64,
    /// What it says it has to do.
    pub(crate) load: Load,
}

/// Which door of a node is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// `http_address`
    Http,
    /// `rtmp_address`
    Rtmp,
}

/// The nodes that are meant and tell an address, and the ids of those that tell none.
pub(crate) fn list(
    nodes: &[NodeRecord],
    now_ms: i64,
    wanted: &UpstreamNodes,
    door: Door,
) -> (Vec<Listed>, Vec<String>) {
    let mut listed = Vec::new();
    let mut mute = Vec::new();
    for node in nodes.iter().filter(|node| is_meant(node, wanted)) {
        let address = match door {
            Door::Http => &node.http_address,
            Door::Rtmp => &node.rtmp_address,
        };
        let life = match (node.alive_at(now_ms), node.draining) {
            (false, _) => Life::Dead,
            (true, true) => Life::Draining,
            (true, false) => Life::Alive,
        };
        match address.as_ref().filter(|address| !address.is_empty()) {
            Some(address) => listed.push(Listed {
                node_id: node.id.clone(),
                address: address.clone(),
                life,
                updated_ms: node.last_update_time,
                load: load(node),
            }),
            // An edge with a balancer in front of it may have no RTMP door: that is no fault.
            None if life != Life::Dead && node.role != NodeRole::All => mute.push(node.id.clone()),
            None => {}
        }
    }
    (listed, mute)
}

fn is_meant(node: &NodeRecord, wanted: &UpstreamNodes) -> bool {
    let of_role = match wanted.kind {
        NodeKind::Edge => matches!(node.role, NodeRole::Edge | NodeRole::All),
        NodeKind::Origin => matches!(node.role, NodeRole::Origin | NodeRole::All),
    };
    of_role && (wanted.group.is_none() || wanted.group == node.node_group)
}

/// What a node reports; a figure that is none is nothing.
fn load(node: &NodeRecord) -> Load {
    let cpu_percent = node.cpu.trim().parse::<u32>().unwrap_or(0).min(100);
    // Written out, for there is no cast from a float that is right by its type.
    let egress_kbps = format!("{:.0}", node.egress_mbps * 1_000.0);
    Load {
        cpu_permille: cpu_percent * 10,
        streams: node.streams,
        egress_kbps: egress_kbps.parse().unwrap_or(0),
    }
}

/// A node that is in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Member {
    /// Whether it drains.
    pub(crate) draining: bool,
    /// What its health check says.
    pub(crate) healthy: bool,
}

/// A node that is new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Joins {
    pub(crate) node_id: String,
    /// Its address as it tells it.
    pub(crate) told: String,
}

/// One change to a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// A node is new.
    Join(Addr, Joins),
    /// It is to get nothing new.
    Drain(Addr),
    /// It is to get connections again.
    Resume(Addr),
    /// It is not to be in the group any longer, for this reason.
    Leave(Addr, &'static str),
}

/// The steps from what is to what should be. Of two nodes at one address the one counts that was
/// heard of last: the other is what was there before it.
pub(crate) fn plan(
    listed: impl IntoIterator<Item = (Addr, Listed)>,
    members: &BTreeMap<Addr, Member>,
) -> Vec<Step> {
    let mut wanted: BTreeMap<Addr, Listed> = BTreeMap::new();
    for (addr, listed) in listed {
        let newer = wanted
            .get(&addr)
            .is_none_or(|other| other.updated_ms < listed.updated_ms);
        if newer {
            wanted.insert(addr, listed);
        }
    }
    let mut steps = Vec::new();
    for addr in members.keys().filter(|addr| !wanted.contains_key(addr)) {
        steps.push(Step::Leave(addr.clone(), "its record is gone"));
    }
    for (addr, listed) in wanted {
        let step = match (listed.life, members.get(&addr)) {
            (Life::Alive, None) => Step::Join(
                addr,
                Joins {
                    node_id: listed.node_id,
                    told: listed.address,
                },
            ),
            (Life::Alive, Some(member)) if member.draining => Step::Resume(addr),
            (Life::Draining, Some(member)) if !member.draining => Step::Drain(addr),
            (Life::Dead, Some(member)) if !member.healthy => {
                Step::Leave(addr, "its heartbeat and its health check failed")
            }
            _ => continue,
        };
        steps.push(step);
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: &str, role: NodeRole, age_ms: i64) -> NodeRecord {
        NodeRecord {
            id: id.to_owned(),
            role,
            last_update_time: 100_000 - age_ms,
            http_address: Some(format!("{id}:1")),
            rtmp_address: Some(format!("{id}:2")),
            ..NodeRecord::default()
        }
    }

    fn addr(port: u16) -> Addr {
        Addr::Inet((std::net::Ipv4Addr::LOCALHOST, port).into())
    }

    fn listed(life: Life, updated_ms: i64) -> Listed {
        Listed {
            node_id: "n".to_owned(),
            address: String::new(),
            life,
            updated_ms,
            load: Load::default(),
        }
    }

    fn meant(kind: NodeKind, group: Option<&str>) -> UpstreamNodes {
        UpstreamNodes {
            kind,
            group: group.map(str::to_owned),
            prefer_owner: false,
            max_fails: 1,
            fail_timeout_ms: 1,
            max_conns: 0,
            pos: weir_conf::nginx::Pos {
                file: "t.conf".into(),
                line: 1,
            },
        }
    }

    fn member(draining: bool, healthy: bool) -> Member {
        Member { draining, healthy }
    }

    #[test]
    fn nodes_are_listed_by_role_with_the_door_that_is_meant() {
        let mut drained = node("d", NodeRole::Edge, 0);
        drained.draining = true;
        let mut mute = node("m", NodeRole::Edge, 0);
        mute.http_address = None;
        let nodes = [
            node("e", NodeRole::Edge, 20_000),
            node("o", NodeRole::Origin, 0),
            node("a", NodeRole::All, 0),
            node("l", NodeRole::Lb, 0),
            node("x", NodeRole::Edge, 20_001),
            drained,
            mute,
        ];
        let shown = |kind, door| {
            let (listed, mute) = list(&nodes, 100_000, &meant(kind, None), door);
            let lives: Vec<_> = listed.into_iter().map(|it| (it.address, it.life)).collect();
            (lives, mute)
        };
        let own = str::to_owned;
        assert_eq!(
            shown(NodeKind::Edge, Door::Http),
            (
                vec![
                    (own("e:1"), Life::Alive),
                    (own("a:1"), Life::Alive),
                    (own("x:1"), Life::Dead),
                    (own("d:1"), Life::Draining),
                ],
                vec![own("m")]
            )
        );
        assert_eq!(
            shown(NodeKind::Origin, Door::Rtmp).0,
            [(own("o:2"), Life::Alive), (own("a:2"), Life::Alive)]
        );
    }

    #[test]
    fn nodes_of_a_group_tell_their_load() {
        let mut far = node("far", NodeRole::Origin, 0);
        far.node_group = Some("us".to_owned());
        let near = NodeRecord {
            node_group: Some("eu".to_owned()),
            cpu: "37".to_owned(),
            streams: 4,
            egress_mbps: 12.5,
            ..node("near", NodeRole::Origin, 0)
        };
        let odd = NodeRecord {
            cpu: "very".to_owned(),
            egress_mbps: f64::NAN,
            ..near.clone()
        };
        let all = [far, node("none", NodeRole::Origin, 0), near, odd];
        let meant = meant(NodeKind::Origin, Some("eu"));
        let (listed, _) = list(&all, 100_000, &meant, Door::Http);
        let loads: Vec<_> = listed.iter().map(|it| it.load).collect();
        let load = Load {
            cpu_permille: 370,
            streams: 4,
            egress_kbps: 12_500,
        };
        let odd = Load {
            streams: 4,
            ..Load::default()
        };
        assert_eq!(loads, [load, odd]);
    }

    #[test]
    fn steps_follow_the_record() {
        let none = BTreeMap::new();
        let join = vec![Step::Join(
            addr(1),
            Joins {
                node_id: "n".to_owned(),
                told: String::new(),
            },
        )];
        assert_eq!(plan([(addr(1), listed(Life::Alive, 0))], &none), join);
        for life in [Life::Draining, Life::Dead] {
            assert_eq!(plan([(addr(1), listed(life, 0))], &none), []);
        }
        let serving = BTreeMap::from([(addr(1), member(false, true))]);
        let draining = BTreeMap::from([(addr(1), member(true, true))]);
        let one = |life| [(addr(1), listed(life, 0))];
        assert_eq!(plan(one(Life::Alive), &serving), []);
        assert_eq!(plan(one(Life::Draining), &serving), [Step::Drain(addr(1))]);
        assert_eq!(plan(one(Life::Draining), &draining), []);
        assert_eq!(plan(one(Life::Alive), &draining), [Step::Resume(addr(1))]);
        let gone = plan([], &serving);
        assert!(matches!(gone.as_slice(), [Step::Leave(..)]), "{gone:?}");
    }

    #[test]
    fn an_old_record_alone_takes_nobody_out() {
        let dead = || [(addr(1), listed(Life::Dead, 0))];
        let well = BTreeMap::from([(addr(1), member(false, true))]);
        assert_eq!(plan(dead(), &well), []);
        let ill = BTreeMap::from([(addr(1), member(false, false))]);
        assert!(matches!(plan(dead(), &ill).as_slice(), [Step::Leave(..)]));
    }

    #[test]
    fn the_last_heard_of_at_an_address_counts() {
        let serving = BTreeMap::from([(addr(1), member(false, false))]);
        let old = || (addr(1), listed(Life::Dead, 5));
        let new = || (addr(1), listed(Life::Alive, 9));
        assert_eq!(plan([old(), new()], &serving), []);
        assert_eq!(plan([new(), old()], &serving), []);
    }
}
