//! The JSON that goes out, with Ant Media's names and spellings.

mod cluster_node;

pub(crate) use cluster_node::{ClusterNodeJson, NodeInfoJson};

use crate::state::NodeInfo;
use axum::Json;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// Ant Media's `Result`: how a command went, or why a request was not answered.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Result)]
pub(crate) struct ResultJson {
    success: bool,
    message: Option<String>,
    data_id: Option<String>,
    error_id: i32,
}

impl ResultJson {
    pub(crate) fn failed(message: String) -> Self {
        Self {
            success: false,
            message: Some(message),
            data_id: None,
            error_id: 0,
        }
    }

    /// It was done, and there is nothing to say.
    pub(crate) fn ok() -> Self {
        Self {
            success: true,
            message: None,
            data_id: None,
            error_id: 0,
        }
    }

    /// It was done.
    pub(crate) fn done(message: &str) -> Self {
        Self {
            message: Some(message.to_owned()),
            ..Self::ok()
        }
    }

    /// The same about a record, or with what was asked for.
    pub(crate) fn about(self, data_id: &str) -> Self {
        let data_id = Some(data_id.to_owned());
        Self { data_id, ..self }
    }

    /// The same with a remark after what it says.
    pub(crate) fn with_remark(self, remark: &str) -> Self {
        let message = Some(match &self.message {
            Some(message) => format!("{message}; {remark}"),
            None => remark.to_owned(),
        });
        Self { message, ..self }
    }

    /// The same with remarks after what it says.
    pub(crate) fn with_remarks(self, remarks: &[String]) -> Self {
        remarks
            .iter()
            .fold(self, |result, remark| result.with_remark(remark))
    }
}

impl IntoResponse for ResultJson {
    /// JSON; and itself beside it, for layers that have something to add.
    fn into_response(self) -> Response {
        let mut response = Json(&self).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Ant Media's `SimpleStat`: one number.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SimpleStat {
    number: usize,
}

impl SimpleStat {
    pub(crate) fn of(number: usize) -> Self {
        Self { number }
    }
}

/// The answer of the liveness probe.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Liveness)]
pub(crate) struct LivenessJson {
    pub(crate) host: String,
    pub(crate) status: &'static str,
}

/// Ant Media's `Version`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Version)]
pub(crate) struct VersionJson {
    version_name: String,
    version_type: &'static str,
    build_number: String,
}

impl VersionJson {
    pub(crate) fn new(node: &NodeInfo) -> Self {
        Self {
            version_name: node.version.clone(),
            version_type: "Weir",
            build_number: node.version.clone(),
        }
    }
}
