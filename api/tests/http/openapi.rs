//! The OpenAPI documents tell of every route and of nothing else.

use crate::support::Api;
use http::{Method, StatusCode};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// Paths that are no REST: pages, metrics, the documents themselves, and REST that does not exist.
const UNDOCUMENTED: [&str; 14] = [
    "/",
    "/{app}/play.html",
    "/assets/{*path}",
    "/{app}/assets/{*path}",
    "/metrics",
    "/{app}/openapi",
    "/{app}/openapi/openapi.json",
    "/rest/openapi.json",
    "/rest/{*path}",
    "/{app}/rest/{*path}",
    // Twins of paths that have the slash.
    "/{app}/rest/v2/broadcasts",
    "/{app}/rest/v2/vods",
    // The router's own, for its fallback.
    "/__private__axum_fallback",
    "/{*__private__axum_fallback}",
];

/// Path patterns with their methods, of both documents.
async fn documented(api: &Api) -> BTreeMap<String, BTreeSet<String>> {
    let mut all = BTreeMap::new();
    let documents = [
        ("/{app}", "/LiveApp/openapi/openapi.json"),
        ("", "/rest/openapi.json"),
    ];
    for (prefix, document) in documents {
        let document = api.get(document).await.json();
        for (path, item) in document["paths"].as_object().unwrap() {
            let methods = item.as_object().unwrap().keys();
            let methods = methods.filter(|m| METHODS.contains(&m.as_str()));
            all.insert(format!("{prefix}{path}"), methods.cloned().collect());
        }
    }
    all
}

/// Path patterns of the router, from what it prints of itself.
fn routed(api: &Api) -> BTreeSet<String> {
    let text = format!("{:?}", api.router);
    text.split('"')
        .filter(|part| part.starts_with('/'))
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn every_route_is_in_a_document_and_the_reverse() {
    let api = Api::new();
    let documented = documented(&api).await;
    let documented: BTreeSet<_> = documented.into_keys().collect();
    let undocumented: BTreeSet<_> = UNDOCUMENTED.map(str::to_owned).into();
    let routed: BTreeSet<_> = routed(&api).difference(&undocumented).cloned().collect();
    assert!(
        routed.len() > 10,
        "the router prints its routes: {routed:?}"
    );
    assert_eq!(routed, documented);
}

#[tokio::test]
async fn every_documented_path_answers_just_the_documented_methods() {
    let api = Api::new();
    for (pattern, methods) in documented(&api).await {
        let path = pattern.replace("{app}", "LiveApp").replace(['{', '}'], "");
        let answer = api.ask(Method::TRACE, &path, &[]).await;
        assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
        let allowed: BTreeSet<_> = answer.header("allow").split(',').collect();
        let mut expected: BTreeSet<_> = methods.iter().map(|m| m.to_uppercase()).collect();
        if expected.contains("GET") {
            expected.insert("HEAD".to_owned());
        }
        let expected: BTreeSet<_> = expected.iter().map(String::as_str).collect();
        assert_eq!(allowed, expected, "{path}");
    }
}

#[tokio::test]
async fn the_documents_hang_together() {
    let api = Api::new();
    let app = api.get("/live/openapi").await.json();
    assert_eq!(app["servers"][0]["url"], "/live");
    assert_eq!(app, api.get("/live/openapi/openapi.json").await.json());
    assert_eq!(
        api.get("/none/openapi").await.status(),
        StatusCode::NOT_FOUND
    );
    let server = api.get("/rest/openapi.json").await.json();
    assert_eq!(server["servers"][0]["url"], "/");
    for document in [app, server] {
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let mut references = Vec::new();
        collect_references(&document, &mut references);
        assert!(!references.is_empty());
        for reference in references {
            let name = reference.strip_prefix("#/components/schemas/").unwrap();
            assert!(schemas.contains_key(name), "{name} is described");
        }
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                assert_eq!(in_path(path), described(operation), "{method} {path}");
            }
        }
    }
}

/// Names in braces.
fn in_path(path: &str) -> BTreeSet<&str> {
    let parts = path.split('{').skip(1);
    parts.map(|part| part.split('}').next().unwrap()).collect()
}

/// Parameters of the path that an operation describes.
fn described(operation: &Value) -> BTreeSet<&str> {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let in_path = parameters.filter(|p| p["in"] == "path");
    in_path.map(|p| p["name"].as_str().unwrap()).collect()
}

fn collect_references<'a>(value: &'a Value, into: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_str() {
                    Some(reference) if name == "$ref" => into.push(reference),
                    _ => collect_references(value, into),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect_references(item, into)),
        _ => {}
    }
}
