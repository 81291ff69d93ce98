//! What holds for all of REST: probes, refusals, CORS, a store that is away, metrics.

use crate::support::{Api, Away};
use http::{Method, StatusCode};
use serde_json::json;
use std::sync::Arc;

#[tokio::test]
async fn the_node_is_alive_and_says_its_version() {
    let api = Api::new();
    let answer = api.get("/rest/v2/liveness").await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(
        answer.json(),
        json!({"host": "edge1.example", "status": "ok"})
    );
    for path in ["/rest/v2/version", "/LiveApp/rest/v2/version"] {
        let version = api.get(path).await.json();
        let expected =
            json!({"versionName": "0.1.0", "versionType": "Weir", "buildNumber": "0.1.0"});
        assert_eq!(version, expected, "{path}");
    }
    let info = api.get("/rest/v2/weir/node").await.json();
    assert_eq!(info["apps"], json!(["LiveApp", "live"]));
    assert_eq!(info["rtmpHost"], "live.example");
    assert_eq!(info["rtmpPort"], 1935);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_is_503_in_bounded_time_and_the_node_lives() {
    for store in [Away::Refuses, Away::Silent] {
        let api = Api::on(Arc::new(store));
        for path in [
            "/LiveApp/rest/v2/broadcasts/cam1",
            "/LiveApp/rest/v2/broadcasts/list/0/10",
            "/LiveApp/rest/v2/broadcasts/list/0/10?sort_by=name",
            "/LiveApp/rest/v2/broadcasts/count",
            "/LiveApp/rest/v2/broadcasts/active-live-stream-count",
            "/rest/v2/cluster/nodes/0/10",
            "/rest/v2/cluster/node-count",
        ] {
            let answer = api.get(path).await;
            assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
            assert!(answer.failure().contains("store does not answer"), "{path}");
            assert_eq!(answer.header("retry-after"), "1");
        }
        let answer = api.get("/rest/v2/liveness").await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(
            answer.json(),
            json!({"host": "edge1.example", "status": "ok"})
        );
        for path in [
            "/",
            "/LiveApp/play.html",
            "/metrics",
            "/rest/v2/version",
            "/rest/v2/weir/node",
        ] {
            assert_eq!(
                api.get(path).await.status(),
                StatusCode::OK,
                "{path} needs no store"
            );
        }
    }
}

#[tokio::test]
async fn what_is_not_built_says_so_in_json() {
    let api = Api::new();
    for (method, path) in [
        (Method::GET, "/LiveApp/rest/v2/conference-rooms/list/0/10"),
        (Method::GET, "/rest/v2/support/request"),
        (Method::GET, "/rest/anything"),
    ] {
        let answer = api.ask(method.clone(), path, &[]).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{method} {path}");
        let words = format!("{method} {path} is not part of this version");
        assert_eq!(answer.failure(), words);
    }
}

#[tokio::test]
async fn other_methods_on_known_paths_are_405_and_name_those_that_work() {
    let api = Api::new();
    for (method, path) in [
        (Method::POST, "/LiveApp/rest/v2/broadcasts/count"),
        (Method::PUT, "/LiveApp/rest/v2/broadcasts/list/0/10"),
        (Method::POST, "/rest/v2/liveness"),
        (Method::POST, "/rest/v2/cluster/nodes/0/10"),
    ] {
        let answer = api.ask(method.clone(), path, &[]).await;
        assert_eq!(
            answer.status(),
            StatusCode::METHOD_NOT_ALLOWED,
            "{method} {path}"
        );
        assert!(
            answer.failure().starts_with(method.as_str()),
            "{}",
            answer.text()
        );
        assert_eq!(answer.header("allow"), "GET,HEAD", "{method} {path}");
    }
}

#[tokio::test]
async fn head_answers_as_get_without_a_body() {
    let api = Api::new();
    for path in [
        "/LiveApp/rest/v2/broadcasts/list/0/10",
        "/rest/v2/liveness",
        "/",
        "/LiveApp/play.html",
        "/metrics",
    ] {
        let (get, head) = (api.get(path).await, api.ask(Method::HEAD, path, &[]).await);
        assert_eq!(head.status(), StatusCode::OK, "{path}");
        assert_eq!(head.text(), "", "{path}");
        assert_eq!(
            head.header("content-type"),
            get.header("content-type"),
            "{path}"
        );
        if path != "/metrics" {
            assert_eq!(
                head.header("content-length"),
                get.text().len().to_string(),
                "{path}"
            );
        }
    }
}

#[tokio::test]
async fn any_site_may_ask_and_no_cache_may_keep() {
    let api = Api::new();
    let from = [("origin", "https://panel.example")];
    for path in [
        "/LiveApp/rest/v2/broadcasts/list/0/10",
        "/LiveApp/rest/v2/broadcasts/none",
        "/rest/v2/none",
    ] {
        let answer = api.ask(Method::GET, path, &from).await;
        assert_eq!(answer.header("access-control-allow-origin"), "*", "{path}");
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
    }
    let ask = [
        ("origin", "https://panel.example"),
        ("access-control-request-method", "DELETE"),
        (
            "access-control-request-headers",
            "authorization,content-type",
        ),
    ];
    for path in [
        "/LiveApp/rest/v2/broadcasts/cam1",
        "/rest/v2/users/authenticate",
    ] {
        let answer = api.ask(Method::OPTIONS, path, &ask).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let methods = answer.header("access-control-allow-methods");
        for method in ["GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE"] {
            assert!(methods.contains(method), "{methods}");
        }
        let headers = answer.header("access-control-allow-headers");
        assert!(
            headers.contains("authorization") && headers.contains("content-type"),
            "{headers}"
        );
    }
}

#[tokio::test]
async fn requests_are_counted_under_their_route() {
    let api = Api::new();
    for id in ["a", "b", "c"] {
        api.get(&format!("/LiveApp/rest/v2/broadcasts/{id}")).await;
    }
    api.get("/no/such/path").await;
    let answer = api.get("/metrics").await;
    assert!(answer.header("content-type").starts_with("text/plain"));
    let text = answer.text();
    for line in [
        r#"weir_api_requests_total{code="404",route="/{app}/rest/v2/broadcasts/{id}"} 3"#,
        r#"weir_api_requests_total{code="404",route="none"} 1"#,
        r#"weir_api_request_duration_seconds_count{route="/{app}/rest/v2/broadcasts/{id}"} 3"#,
        "weir_api_requests_in_flight 0",
        "process_resident_memory_bytes",
        "process_open_fds",
    ] {
        assert!(text.contains(line), "no {line} in\n{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn too_many_at_once_are_refused_and_probes_are_not() {
    let api = Arc::new(Api::on(Arc::new(Away::Silent)));
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..weir_api::IN_FLIGHT_MAX + 8 {
        let api = Arc::clone(&api);
        waiting.spawn(async move { api.get("/LiveApp/rest/v2/broadcasts/cam1").await.failure() });
    }
    let mut busy = 0;
    while let Some(message) = waiting.join_next().await {
        busy += usize::from(message.unwrap() == "too many requests at once");
    }
    assert_eq!(busy, 8);
    let text = api.get("/metrics").await;
    assert!(text.text().contains("weir_api_requests_refused_total 8"));
    assert!(text.text().contains("weir_api_requests_in_flight 0"));
}
