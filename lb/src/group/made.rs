//! What the configuration says of an upstream, in the balancer's words.

use weir_conf::nginx::model::{Ejection, Method, UpstreamServer};

use crate::balance::{Outlier, PeerSpec, Rule};

/// A server whose addresses come and go.
#[derive(Debug, Clone)]
pub(crate) struct Named {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(super) spec: PeerSpec,
}

pub(super) fn outlier(model: &Ejection) -> Outlier {
    Outlier {
        consecutive: model.consecutive,
        time_ms: model.time_ms,
        max_time_ms: model.max_time_ms,
        share_percent: model.share_percent,
        panic_percent: model.panic_percent,
    }
}

pub(super) fn spec(server: &UpstreamServer) -> PeerSpec {
    PeerSpec {
        server: server.name.as_str().into(),
        weight: server.weight,
        max_fails: server.max_fails,
        fail_timeout_ms: server.fail_timeout_ms,
        max_conns: server.max_conns,
        slow_start_ms: server.slow_start_ms,
        backup: server.backup,
        down: server.down,
    }
}

pub(super) fn rule(method: &Method) -> Rule {
    match method {
        Method::RoundRobin => Rule::RoundRobin,
        Method::LeastConn => Rule::LeastConn,
        Method::LeastTime { .. } => Rule::LeastTime,
        Method::LeastLoad => Rule::LeastLoad,
        Method::IpHash => Rule::IpHash,
        Method::Hash { consistent, .. } if *consistent => Rule::Ring,
        Method::Hash { .. } => Rule::Hash,
        Method::Random { two: false } => Rule::Random,
        Method::Random { two: true } => Rule::RandomTwo,
    }
}
