//! What only weir has: upstreams that the cluster's node directory fills, and where its store is.
//!
//! `cluster role=edge|origin [group=] [prefer=owner] [max_fails=] [fail_timeout=] [max_conns=]`
//! stands in an `upstream`; `weir_nodes edge|origin …` is how it was spelt before. A process that
//! runs as nginx has no settings of a node, so that there `cluster_properties FILE` must say
//! whose properties file names the store; beside other roles the node's own do.

use super::super::error::{Error, Kind};
use super::super::model::{
    ClusterProperties, Config, HealthCheck, NodeKind, Upstream, UpstreamNodes,
};
use super::super::parse::{Directive, Tree};
use super::upstream::{server_defaults, server_parameter};
use super::{Lowering, invalid_parameter};

/// `cluster …`, or `weir_nodes …`.
pub(super) fn nodes(directive: &Directive, http: bool) -> Result<UpstreamNodes, Error> {
    let mut words = directive.args.iter().map(|token| token.text.as_str());
    let mut kind = None;
    if directive.name == "weir_nodes" {
        let text = words.next().unwrap_or_default();
        let message = format!(
            "invalid value \"{text}\" in \"weir_nodes\" directive, it must be \"edge\" or \
             \"origin\""
        );
        let fault = || directive.fault(Kind::Value, message);
        kind = Some(role(text).ok_or_else(fault)?);
    }
    let mut each = server_defaults("", Vec::new());
    let (mut group, mut prefer_owner) = (None, false);
    for word in words {
        let bad = || invalid_parameter(directive, word);
        match word.split_once('=') {
            Some(("role", text)) if kind.is_none() => kind = Some(role(text).ok_or_else(bad)?),
            Some(("group", text)) if group.is_none() && !text.is_empty() => {
                group = Some(text.to_owned());
            }
            Some(("prefer", "owner")) => prefer_owner = true,
            Some(("max_fails" | "fail_timeout" | "max_conns", _)) => {
                server_parameter(directive, word, &mut each, false)?;
            }
            _ => return Err(bad()),
        }
    }
    let Some(kind) = kind else {
        let message = "\"cluster\" must have \"role=edge\" or \"role=origin\"";
        return Err(directive.fault(Kind::Value, message));
    };
    if kind == NodeKind::Edge && !http {
        let name = &directive.name;
        let message = format!("\"{name}\" of edges stands in \"http\" only: they take no RTMP");
        return Err(directive.fault(Kind::Value, message));
    }
    if prefer_owner && !(http && kind == NodeKind::Origin) {
        let message = "\"prefer=owner\" is for origins in \"http\": a path must name the stream";
        return Err(directive.fault(Kind::Value, message));
    }
    Ok(UpstreamNodes {
        kind,
        group,
        prefer_owner,
        max_fails: each.max_fails,
        fail_timeout_ms: each.fail_timeout_ms,
        max_conns: each.max_conns,
        pos: directive.pos.clone(),
    })
}

/// Nodes are always checked: one is used from its first passed check on. What is checked when the
/// file has no `health_check` for them.
pub(super) fn check_nodes(upstreams: &mut [Upstream], http: bool) {
    for upstream in upstreams.iter_mut().filter(|it| it.nodes.is_some()) {
        upstream.health_check.get_or_insert_with(|| HealthCheck {
            interval_ms: 1000,
            fails: 2,
            passes: 1,
            port: None,
            uri: http.then(|| "/rest/v2/weir/node".to_owned()),
            timeout_ms: 1000,
            mandatory: false,
            persistent: false,
            jitter_ms: 0,
            matching: None,
        });
    }
}

/// `cluster_properties` of the whole file: it may stand in `http` and in `stream`, and holds for
/// both.
pub(super) fn properties(
    tree: &Tree,
    lowering: &Lowering<'_>,
    config: &mut Config,
) -> Result<(), Error> {
    if !lowering.options.as_nginx {
        return Ok(());
    }
    let blocks = tree.directives.iter();
    let blocks = blocks.filter(|block| matches!(block.name.as_str(), "http" | "stream"));
    for found in blocks
        .flat_map(|block| block.children())
        .filter(|child| child.name == "cluster_properties")
    {
        let path = lowering.conf_prefix.join(found.arg(0).unwrap_or_default());
        let other = config.cluster_properties.as_ref();
        if other.is_some_and(|other| other.path != path) {
            let message = "\"cluster_properties\" names another file already: there is one cluster";
            return Err(found.fault(Kind::Value, message));
        }
        config.cluster_properties = Some(ClusterProperties {
            path,
            pos: found.pos.clone(),
        });
    }
    match config.first_cluster() {
        Some(nodes) if config.cluster_properties.is_none() => Err(Error {
            message: "\"cluster\" needs \"cluster_properties FILE\", which says where the \
                      cluster's store is"
                .to_owned(),
            pos: Some(nodes.pos.clone()),
            kind: Kind::Value,
        }),
        _ => Ok(()),
    }
}

fn role(text: &str) -> Option<NodeKind> {
    match text {
        "edge" => Some(NodeKind::Edge),
        "origin" => Some(NodeKind::Origin),
        _ => None,
    }
}
