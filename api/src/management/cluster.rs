//! `/rest/v2/cluster…`, the part that is the panel's: whether there is one, forgetting a node, notes on nodes.

use crate::error::ApiError;
use crate::extract::{UrlPath, UrlQuery};
use crate::management::users::Told;
use crate::openapi::Refusals;
use crate::state::{Shared, bounded};
use crate::wire::ResultJson;
use axum::extract::State;
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;
use weir_cluster::{Fields, Kind, Place, Query};

/// The longest note, characters.
const NOTE_CHARS_MAX: usize = 500;
/// The longest id of a node, bytes.
const NODE_ID_BYTES_MAX: usize = 64;
/// What names of notes begin with, among the records that all nodes share.
const NOTE: &str = "nodeNote:";

/// `GET /rest/v2/cluster-mode-status`: whether this node shares its store with others.
#[utoipa::path(get, path = "/rest/v2/cluster-mode-status", tag = "cluster",
    responses((status = 200, body = ResultJson), Refusals))]
pub(crate) async fn mode_status(State(shared): State<Arc<Shared>>) -> ResultJson {
    if shared.given.management.options.clustered {
        ResultJson::done("")
    } else {
        ResultJson::failed(String::new())
    }
}

/// `DELETE /rest/v2/cluster/node/{id}`: forgets a node. One that lives is there again with its next heartbeat.
#[utoipa::path(delete, path = "/rest/v2/cluster/node/{id}", tag = "cluster",
    params(("id" = String, Path, description = "The node")),
    responses((status = 200, body = ResultJson), Refusals))]
pub(crate) async fn delete_node(
    State(shared): State<Arc<Shared>>,
    UrlPath(id): UrlPath<String>,
) -> Told {
    shared.forget_node(&id).await
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct NoteQuery {
    /// At most 500 characters; empty takes the note away.
    #[param(max_length = 500)]
    note: Option<String>,
}

/// `PUT /rest/v2/cluster/node/{id}/note?note=`: a remark for people, shown with the node.
#[utoipa::path(put, path = "/rest/v2/cluster/node/{id}/note", tag = "cluster",
    params(("id" = String, Path, description = "The node"), NoteQuery),
    responses((status = 200, body = ResultJson), Refusals))]
pub(crate) async fn note(
    State(shared): State<Arc<Shared>>,
    UrlPath(id): UrlPath<String>,
    UrlQuery(query): UrlQuery<NoteQuery>,
) -> Told {
    let note = query.note.unwrap_or_default();
    if note.chars().count() > NOTE_CHARS_MAX {
        let words = format!("note may have at most {NOTE_CHARS_MAX} characters");
        return Err(ApiError::Invalid(words));
    }
    if !shared.has_node(&id).await? {
        return Ok(ResultJson::failed("there is no node of that id".to_owned()));
    }
    let place = Place::of_cluster(Kind::Secret, &format!("{NOTE}{id}"));
    if note.is_empty() {
        bounded(shared.given.store.delete(&place)).await?;
    } else {
        let fields = Fields::from_iter([("value".to_owned(), Value::from(note))]);
        bounded(shared.given.store.put(&place, fields)).await?;
    }
    Ok(ResultJson::ok())
}

impl Shared {
    pub(crate) async fn forget_node(&self, id: &str) -> Told {
        if id.len() > NODE_ID_BYTES_MAX {
            return Ok(ResultJson::failed("there is no node of that id".to_owned()));
        }
        let place = Place::of_cluster(Kind::Secret, &format!("{NOTE}{id}"));
        bounded(self.given.store.delete(&place)).await?;
        Ok(if bounded(self.given.store.delete_node(id)).await? {
            ResultJson::ok()
        } else {
            ResultJson::failed("there is no node of that id".to_owned())
        })
    }

    /// Notes by node.
    pub(crate) async fn node_notes(&self) -> Result<HashMap<String, String>, ApiError> {
        let notes = Query {
            contains: Some((NOTE.to_owned(), &["name"])),
            ..Query::all(Kind::Secret, None)
        };
        let all = bounded(self.given.store.list(&notes)).await?;
        let pairs = all.iter().filter_map(|fields| {
            let id = fields.get("name")?.as_str()?.strip_prefix(NOTE)?;
            Some((id.to_owned(), fields.get("value")?.as_str()?.to_owned()))
        });
        Ok(pairs.collect())
    }

    async fn has_node(&self, id: &str) -> Result<bool, ApiError> {
        Ok(self.find_node(|node| node.id == id).await?.is_some())
    }
}
