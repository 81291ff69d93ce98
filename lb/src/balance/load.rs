//! What a peer reports of itself, and who of two has less to do.
//!
//! A report is some seconds old, and all who come meanwhile would go to whoever looked idle in it:
//! so each connection given since counts as a stream more, at the price in processor time that
//! the peer's streams have on average. Compared is first the processor in steps of
//! [`CPU_STEP_PERMILLE`] (a difference below that is noise), then the streams for the weight, then
//! what goes out in steps of [`EGRESS_STEP_KBPS`]. A peer that reports nothing is taken for idle
//! but for its connections.

use std::cmp::Ordering;

use super::peer::Peer;

/// Processors are told apart in steps of a tenth.
const CPU_STEP_PERMILLE: u32 = 100;
/// What goes out is told apart in steps of 10 Mbit/s.
const EGRESS_STEP_KBPS: u64 = 10_000;
/// What a stream given since the last report is taken to cost, thousandths of the machine: the
/// average within these bounds,
const STREAM_PERMILLE: (u32, u32) = (5, 250);
/// or this much where there are fewer than [`STREAMS_TELLING`] to take one of.
const STREAM_PERMILLE_USUAL: u32 = 10;
const STREAMS_TELLING: u32 = 4;

/// A peer's report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Load {
    /// Processors, of 1,000.
    pub cpu_permille: u32,
    /// Streams published on it.
    pub streams: u32,
    /// What goes out, kbit/s.
    pub egress_kbps: u64,
}

/// What is known of a peer's load.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Known {
    report: Option<Load>,
    /// Connections given since the report.
    since: u32,
}

impl Known {
    pub(super) fn reported(&mut self, load: Load) {
        if self.report != Some(load) {
            self.since = 0;
        }
        self.report = Some(load);
    }

    pub(super) fn given(&mut self) {
        self.since = self.since.saturating_add(1);
    }

    /// Processor, thousandths, with what came since.
    fn cpu_permille(&self) -> u32 {
        let load = self.report.unwrap_or_default();
        let (least, most) = STREAM_PERMILLE;
        let each = match load.streams {
            few if few < STREAMS_TELLING => STREAM_PERMILLE_USUAL,
            many => (load.cpu_permille / many).clamp(least, most),
        };
        let since = self.since.saturating_mul(each);
        load.cpu_permille.saturating_add(since)
    }

    fn streams(&self, active: u32) -> u32 {
        let told = |load: Load| load.streams.saturating_add(self.since);
        self.report.map_or(active, told)
    }
}

impl Peer {
    /// Who of two peers has less to do.
    pub(super) fn idler_than(&self, other: &Self, now_ms: u64) -> Ordering {
        let cpu = |peer: &Self| match peer.load.report {
            Some(_) => peer.load.cpu_permille() / CPU_STEP_PERMILLE,
            None => 0,
        };
        let streams = |peer: &Self| u128::from(peer.load.streams(peer.active));
        let egress = |peer: &Self| {
            let load = peer.load.report.unwrap_or_default();
            load.egress_kbps / EGRESS_STEP_KBPS
        };
        cpu(self)
            .cmp(&cpu(other))
            .then_with(|| {
                let mine = streams(self) * other.share(now_ms);
                mine.cmp(&(streams(other) * self.share(now_ms)))
            })
            .then_with(|| egress(self).cmp(&egress(other)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Balancer, Outcome, PeerSpec, Rule};
    use super::Load;

    fn balancer(loads: &[(u32, u32, u64)]) -> Balancer {
        let specs = loads.iter().map(|_| PeerSpec::default());
        let mut balancer = Balancer::new(Rule::LeastLoad, specs);
        for (number, load) in loads.iter().enumerate() {
            report(&mut balancer, number, *load);
        }
        balancer
    }

    fn report(balancer: &mut Balancer, number: usize, load: (u32, u32, u64)) {
        let (cpu_percent, streams, egress_mbps) = load;
        let load = Load {
            cpu_permille: cpu_percent * 10,
            streams,
            egress_kbps: egress_mbps * 1000,
        };
        balancer.set_load(number, load);
    }

    fn picks(balancer: &mut Balancer, count: usize) -> Vec<usize> {
        let picked = (0..count).map(|_| balancer.pick(&[], 0).unwrap());
        picked.collect()
    }

    #[test]
    fn processor_then_streams_then_what_goes_out() {
        assert_eq!(picks(&mut balancer(&[(50, 1, 0), (20, 9, 900)]), 1), [1]);
        // 21 and 28 percent are the same.
        assert_eq!(picks(&mut balancer(&[(21, 9, 0), (28, 3, 900)]), 1), [1]);
        assert_eq!(picks(&mut balancer(&[(20, 3, 50), (20, 3, 20)]), 1), [1]);
        // All alike: in turn.
        let mut all = picks(&mut balancer(&[(20, 3, 50), (20, 3, 50)]), 4);
        all.sort_unstable();
        assert_eq!(all, [0, 0, 1, 1]);
    }

    #[test]
    fn those_given_since_the_report_count() {
        let mut balancer = balancer(&[(0, 0, 0), (0, 4, 0)]);
        // Four more are what the other has; from there on in turn.
        assert_eq!(picks(&mut balancer, 4), [0; 4]);
        let mut next = picks(&mut balancer, 4);
        next.sort_unstable();
        assert_eq!(next, [0, 0, 1, 1]);
        // The same report again is no news, another is.
        report(&mut balancer, 0, (0, 0, 0));
        report(&mut balancer, 1, (0, 4, 0));
        assert_eq!(picks(&mut balancer, 2).len(), 2);
        report(&mut balancer, 1, (0, 1, 0));
        assert_eq!(picks(&mut balancer, 1), [1]);
    }

    /// A flood between two reports does not all go to the one that looked idle.
    #[test]
    fn a_flood_between_reports_is_spread() {
        // 40 streams at 40 percent against nothing: each that comes is taken to cost a hundredth.
        let mut balancer = balancer(&[(40, 40, 0), (0, 0, 0)]);
        let picked = picks(&mut balancer, 200);
        let to_busy = picked.iter().filter(|number| **number == 0).count();
        assert!((40..100).contains(&to_busy), "{to_busy} of 200");
    }

    #[test]
    fn without_a_report_connections_count() {
        let mut balancer =
            Balancer::new(Rule::LeastLoad, [PeerSpec::default(), PeerSpec::default()]);
        assert_eq!(picks(&mut balancer, 2), [0, 1]);
        balancer.release(1, Outcome::Answered, 0);
        assert_eq!(picks(&mut balancer, 1), [1]);
    }
}
