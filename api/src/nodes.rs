//! `/rest/v2/cluster/…`: the cluster's nodes. Ant Media serves them at the root only; the same under an
//! application is an alias.

use crate::error::ApiError;
use crate::extract::{LIST_SIZE_MAX, Page, PageParams, UrlPath};
use crate::openapi::Refusals;
use crate::state::{Shared, bounded};
use crate::wire::{ClusterNodeJson, SimpleStat};
use axum::Json;
use axum::extract::State;
use std::sync::Arc;
use weir_cluster::NodeRecord;

/// The most nodes that are counted.
pub(crate) const NODES_COUNTED_MAX: usize = 4 * LIST_SIZE_MAX;

type Nodes = Result<Json<Vec<ClusterNodeJson>>, ApiError>;

/// `GET /rest/v2/cluster/nodes/{offset}/{size}`.
#[utoipa::path(get, path = "/rest/v2/cluster/nodes/{offset}/{size}", tag = "cluster", params(PageParams),
    responses((status = 200, body = Vec<ClusterNodeJson>), Refusals))]
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    UrlPath((offset, size)): UrlPath<(String, String)>,
) -> Nodes {
    shared.nodes(Page::parse(&offset, &size)?).await
}

/// `GET /rest/v2/cluster/nodes`: the first window.
#[utoipa::path(get, path = "/rest/v2/cluster/nodes", tag = "cluster",
    responses((status = 200, body = Vec<ClusterNodeJson>), Refusals))]
pub(crate) async fn first(State(shared): State<Arc<Shared>>) -> Nodes {
    shared.nodes(Page::FIRST).await
}

/// `GET /{app}/rest/v2/cluster/nodes/{offset}/{size}`.
#[utoipa::path(get, path = "/{app}/rest/v2/cluster/nodes/{offset}/{size}", tag = "cluster", params(PageParams),
    responses((status = 200, body = Vec<ClusterNodeJson>), Refusals))]
pub(crate) async fn list_in_app(
    State(shared): State<Arc<Shared>>,
    UrlPath((app, offset, size)): UrlPath<(String, String, String)>,
) -> Nodes {
    shared.app(&app)?;
    shared.nodes(Page::parse(&offset, &size)?).await
}

/// `GET /{app}/rest/v2/cluster/nodes`: the first window.
#[utoipa::path(get, path = "/{app}/rest/v2/cluster/nodes", tag = "cluster",
    responses((status = 200, body = Vec<ClusterNodeJson>), Refusals))]
pub(crate) async fn first_in_app(
    State(shared): State<Arc<Shared>>,
    UrlPath(app): UrlPath<String>,
) -> Nodes {
    shared.app(&app)?;
    shared.nodes(Page::FIRST).await
}

/// `GET /rest/v2/cluster/node-count`.
#[utoipa::path(get, path = "/rest/v2/cluster/node-count", tag = "cluster",
    responses((status = 200, body = SimpleStat), Refusals))]
pub(crate) async fn count(State(shared): State<Arc<Shared>>) -> Result<Json<SimpleStat>, ApiError> {
    let mut number = 0;
    while number < NODES_COUNTED_MAX {
        let page = bounded(shared.given.store.nodes(number, LIST_SIZE_MAX)).await?;
        number += page.len();
        if page.len() < LIST_SIZE_MAX {
            break;
        }
    }
    Ok(Json(SimpleStat::of(number)))
}

impl Shared {
    /// The first node that is `wanted`.
    pub(crate) async fn find_node(
        &self,
        wanted: impl Fn(&NodeRecord) -> bool,
    ) -> Result<Option<NodeRecord>, ApiError> {
        let mut offset = 0;
        while offset < NODES_COUNTED_MAX {
            let page = bounded(self.given.store.nodes(offset, LIST_SIZE_MAX)).await?;
            let full = page.len() >= LIST_SIZE_MAX;
            offset += page.len();
            let found = page.into_iter().find(&wanted);
            if found.is_some() || !full {
                return Ok(found);
            }
        }
        Ok(None)
    }

    pub(crate) async fn nodes(&self, page: Page) -> Nodes {
        if page.size == 0 {
            return Ok(Json(Vec::new()));
        }
        let records = bounded(self.given.store.nodes(page.offset, page.size)).await?;
        let now_ms = self.judged_ms();
        let mut notes = self.node_notes().await?;
        let view = |record: NodeRecord| {
            let note = notes.remove(&record.id);
            ClusterNodeJson::new(record, note, now_ms)
        };
        Ok(Json(records.into_iter().map(view).collect()))
    }
}
