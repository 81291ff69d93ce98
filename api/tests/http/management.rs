//! Applications, settings, figures and the cluster, through the management REST.

use crate::support::{Api, START_MS, heartbeat};
use crate::users::Browser;
use http::{Method, StatusCode};
use serde_json::json;
use weir_api::ManagementOptions;

#[tokio::test]
async fn applications_come_and_go_while_the_node_runs() {
    let api = Api::managed(ManagementOptions::default()).await;
    let mut admin = Browser::admin(&api).await;
    let names = admin.get("/rest/v2/applications").await.json();
    assert_eq!(names, json!({"applications": ["LiveApp", "live"]}));
    assert_eq!(
        api.get("/shop/rest/v2/broadcasts/count").await.status(),
        StatusCode::NOT_FOUND
    );
    let path = "/rest/v2/applications/shop";
    admin.send(Method::POST, path, &json!({})).await.success();
    assert!(
        admin
            .send(Method::POST, path, &json!({}))
            .await
            .failure()
            .contains("there is an application")
    );
    assert_eq!(
        api.get("/shop/rest/v2/broadcasts/count").await.json(),
        json!({"number": 0})
    );
    let kept = admin
        .send(
            Method::DELETE,
            "/rest/v2/applications/shop?deleteDB=true",
            &json!({}),
        )
        .await;
    assert!(kept.failure().contains("deleteDB"));
    admin.send(Method::DELETE, path, &json!({})).await.success();
    assert!(
        admin
            .send(Method::DELETE, path, &json!({}))
            .await
            .failure()
            .contains("no application")
    );
    assert_eq!(
        api.get("/shop/rest/v2/broadcasts/count").await.status(),
        StatusCode::NOT_FOUND
    );
    for bad in ["rest", "assets", "metrics"] {
        let path = format!("/rest/v2/applications/{bad}");
        admin.send(Method::POST, &path, &json!({})).await.failure();
    }
    let bad = admin
        .send(Method::POST, "/rest/v2/applications/a%20b", &json!({}))
        .await;
    assert_eq!(bad.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn what_goes_on_in_applications_is_told() {
    let api = Api::managed(ManagementOptions::default()).await;
    let mut admin = Browser::admin(&api).await;
    api.publish("cam1", true).await;
    let info = admin.get("/rest/v2/applications-info").await.json();
    let expected = json!({"name": "LiveApp", "liveStreamCount": 1, "vodCount": 0, "storage": 0});
    assert_eq!(info[0], expected);
    let live = admin
        .get("/rest/v2/applications/live-streams/LiveApp")
        .await
        .json();
    assert_eq!(live, json!([{"name": "cam1", "watcherCount": 0}]));
    let history = admin
        .get("/rest/v2/applications/LiveApp/metrics-history")
        .await
        .json();
    assert_eq!(history, json!({"viewers": [0], "streams": [1]}));
    let size = admin.get("/rest/v2/live-clients-size").await.json();
    assert_eq!(size["totalLiveStreamSize"], 1);
    admin
        .send(
            Method::POST,
            "/rest/v2/applications/LiveApp/reset",
            &json!({}),
        )
        .await
        .success();
    for path in [
        "/rest/v2/applications/live-streams/none",
        "/rest/v2/applications/settings/none",
    ] {
        assert_eq!(
            admin.get(path).await.status(),
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
}

#[tokio::test]
async fn settings_are_read_whole_and_changed_in_part() {
    let api = Api::managed(ManagementOptions::default()).await;
    let mut admin = Browser::admin(&api).await;
    let path = "/rest/v2/applications/settings/LiveApp";
    let mut whole = admin.get(path).await.json();
    assert_eq!(whole["hlsListSize"], "15");
    assert_eq!(whole["remoteAllowedCIDR"], "127.0.0.1");
    whole["hlsListSize"] = json!("7");
    whole["jwtSecretKey"] = json!("something secret");
    admin.send(Method::POST, path, &whole).await.success();
    admin
        .send(Method::POST, path, &json!({"hlsTime": "4"}))
        .await
        .success();
    let now = admin.get(path).await.json();
    assert_eq!(
        (&now["hlsListSize"], &now["hlsTime"]),
        (&json!("7"), &json!("4"))
    );
    assert_eq!(now["jwtSecretKey"], "something secret");
    let ladder = json!({"encoderSettingsString": "720,2500000,128000"});
    admin.send(Method::POST, path, &ladder).await.success();
    let now = admin.get(path).await.json();
    assert_eq!(now["encoderSettings"][0]["height"], 720, "{now}");
    let large = json!({"plugin": "x".repeat(300_000)});
    let large = admin.send(Method::POST, path, &large).await;
    assert_eq!(large.status(), StatusCode::BAD_REQUEST, "{}", large.text());
    let wrong = admin
        .send(Method::POST, path, &json!({"hlsTime": "soon"}))
        .await;
    assert_eq!(wrong.status(), StatusCode::BAD_REQUEST);
    assert!(wrong.failure().contains("hlsTime"));
    let unstorable = admin
        .send(
            Method::POST,
            path,
            &json!({"plugin": {"a.b": {"$c": 1}, "": 2}, "a\u{0}b": 1}),
        )
        .await;
    assert_eq!(
        unstorable.status(),
        StatusCode::BAD_REQUEST,
        "{}",
        unstorable.text()
    );

    let reader = json!({"email": "r", "password": "r", "userType": "READ_ONLY", "scope": "system"});
    admin
        .send(Method::POST, "/rest/v2/users", &reader)
        .await
        .success();
    let mut reader = Browser::new(&api);
    reader.log_in("r", "r").await;
    let seen = reader.get(path).await.json();
    assert_eq!(
        (&seen["jwtSecretKey"], &seen["hlsTime"]),
        (&json!(""), &json!("4"))
    );
}

#[tokio::test]
async fn figures_have_ant_medias_names() {
    let api = Api::managed(ManagementOptions {
        started_ms: START_MS - 5_000,
        ..ManagementOptions::default()
    })
    .await;
    let mut admin = Browser::admin(&api).await;
    let all = admin.get("/rest/v2/system-resources").await.json();
    for (group, keys) in [
        (
            "cpuUsage",
            "processCPUTime systemCPULoad processCPULoad systemLoadAverageLastMinute",
        ),
        (
            "jvmMemoryUsage",
            "maxMemory totalMemory freeMemory inUseMemory",
        ),
        ("systemInfo", "osName osArch javaVersion processorCount"),
        (
            "systemMemoryInfo",
            "virtualMemory totalMemory freeMemory inUseMemory totalSwapSpace freeSwapSpace \
            inUseSwapSpace availableMemory",
        ),
        (
            "fileSystemInfo",
            "usableSpace totalSpace freeSpace inUseSpace",
        ),
        ("jvmNativeMemoryUsage", "inUseMemory maxMemory"),
        ("server-timing", "up-time start-time"),
    ] {
        for key in keys.split_whitespace() {
            assert!(!all[group][key].is_null(), "{group}.{key}");
        }
    }
    for key in "instanceId softwareVersion gpuUsageInfo ffmpegBuildInfo dbAverageQueryTimeMs \
        localWebRTCLiveStreams localLiveStreams localWebRTCViewers localHLSViewers localDASHViewers \
        encoders-blocked encoders-not-opened publish-timeout-errors vertx-worker-thread-queue-size \
        webrtc-vertx-worker-thread-queue-size totalLiveStreamSize license".split_whitespace() {
        assert!(!all[key].is_null(), "{key}");
    }
    let total = all["systemMemoryInfo"]["totalMemory"].as_u64().unwrap();
    let own = all["jvmMemoryUsage"]["inUseMemory"].as_u64().unwrap();
    assert!(0 < own && own < total);
    assert!(all["fileSystemInfo"]["totalSpace"].as_u64().unwrap() > 0);
    assert_eq!(all["server-timing"]["up-time"], 5_000);
}

#[tokio::test]
async fn each_part_of_the_figures_is_told_alone() {
    let api = Api::managed(ManagementOptions::default()).await;
    let mut admin = Browser::admin(&api).await;
    for path in [
        "cpu-status",
        "system-memory-status",
        "jvm-memory-status",
        "file-system-status",
        "system-status",
        "gpu-status",
        "server-time",
        "version",
        "licence-status",
        "last-licence-status",
        "enterprise-edition",
        "server-settings",
        "cluster-mode-status",
        "log-file/-1/1000",
        "shutdown-properly?appNames=LiveApp,live",
    ] {
        let answer = admin.get(&format!("/rest/v2/{path}")).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.json();
    }
    let licence = admin.get("/rest/v2/licence-status?key=x").await.json();
    assert_eq!(
        (&licence["status"], &licence["type"]),
        (&json!("valid"), &json!("free"))
    );
    let settings = admin.get("/rest/v2/server-settings").await.json();
    assert_eq!(settings["allowedDashboardCIDR"], "0.0.0.0/0");
    admin
        .send(Method::POST, "/rest/v2/server-settings", &settings)
        .await
        .success();
    let other = json!({"logLevel": "TRACE"});
    assert!(
        admin
            .send(Method::POST, "/rest/v2/server-settings", &other)
            .await
            .failure()
            .contains("set log.level in its file")
    );
}

#[tokio::test]
async fn what_is_refused_says_what_to_do_instead() {
    let api = Api::managed(ManagementOptions::default()).await;
    let mut admin = Browser::admin(&api).await;
    let name = "/rest/v2/applications/LiveApp";
    for (method, path, instead) in [
        (
            Method::POST,
            "/rest/v2/ssl-settings?domain=a.b&type=CUSTOM_DOMAIN",
            "trusted.proxies",
        ),
        (Method::PUT, name, "POST on this path"),
        (
            Method::DELETE,
            &format!("{name}?deleteDB=true"),
            "records stay",
        ),
        (Method::GET, "/rest/v2/threads", "/metrics"),
        (Method::GET, "/rest/v2/thread-dump", "gdb"),
        (Method::GET, "/rest/v2/thread-dump-json", "gdb"),
        (Method::GET, "/rest/v2/heap-dump", "gcore"),
        (Method::POST, "/rest/v2/system/gc", "nothing to do"),
        (
            Method::GET,
            "/rest/v2/system-resources/history",
            "Prometheus",
        ),
        (Method::GET, "/rest/v2/network-status", "egressMbps"),
    ] {
        let answer = admin.send(method.clone(), path, &json!({})).await;
        assert_eq!(answer.status(), StatusCode::OK, "{method} {path}");
        let words = answer.failure();
        assert!(
            words.starts_with("nothing was done: ") && words.contains(instead),
            "{words}"
        );
    }
    assert_eq!(
        admin.get("/rest/v2/applications").await.json()["applications"][0],
        "LiveApp"
    );
}

#[tokio::test]
async fn nodes_are_listed_noted_and_forgotten() {
    let api = Api::managed(ManagementOptions::default()).await;
    let mut admin = Browser::admin(&api).await;
    api.store
        .heartbeat(heartbeat("n1", START_MS))
        .await
        .unwrap();
    for path in ["/rest/v2/cluster/node-count", "/rest/cluster/node-count"] {
        assert_eq!(admin.get(path).await.json(), json!({"number": 1}), "{path}");
    }
    let note = "/rest/v2/cluster/node/n1/note?note=rack%207";
    admin.send(Method::PUT, note, &json!({})).await.success();
    for path in ["/rest/v2/cluster/nodes/0/10", "/rest/cluster/nodes/0/10"] {
        assert_eq!(admin.get(path).await.json()[0]["note"], "rack 7", "{path}");
    }
    let long = format!("/rest/v2/cluster/node/n1/note?note={}", "x".repeat(501));
    assert_eq!(
        admin.send(Method::PUT, &long, &json!({})).await.status(),
        StatusCode::BAD_REQUEST
    );
    admin
        .send(
            Method::PUT,
            "/rest/v2/cluster/node/none/note?note=x",
            &json!({}),
        )
        .await
        .failure();
    admin
        .send(Method::DELETE, "/rest/v2/cluster/node/n1", &json!({}))
        .await
        .success();
    admin.get("/rest/cluster/deleteNode/n1").await.failure();
    assert_eq!(
        admin.get("/rest/v2/cluster/nodes/0/10").await.json(),
        json!([])
    );
    assert_eq!(
        admin.get("/rest/v2/cluster-mode-status").await.json()["success"],
        false
    );
}

#[tokio::test]
async fn the_panel_reaches_applications_through_the_management_rest() {
    let api = Api::managed(ManagementOptions::default()).await;
    let mut admin = Browser::admin(&api).await;
    let request = |path: &str| format!("/rest/v2/request?_path={path}");
    let create = request("LiveApp/rest/v2/broadcasts/create");
    let made = admin
        .send(
            Method::POST,
            &create,
            &json!({"streamId": "cam7", "name": "Gate"}),
        )
        .await;
    assert_eq!(made.json()["streamId"], "cam7", "{}", made.text());
    let list = request("LiveApp/rest/v2/broadcasts/list/0/5&search=gate");
    let list = admin.get(&list).await;
    assert_eq!(list.json()[0]["streamId"], "cam7", "{}", list.text());

    let user = json!({"email": "u", "password": "u", "userType": "READ_ONLY", "scope": "LiveApp"});
    admin
        .send(Method::POST, "/rest/v2/users", &user)
        .await
        .success();
    let mut user = Browser::new(&api);
    user.log_in("u", "u").await;
    let one = request("LiveApp/rest/v2/broadcasts/cam7");
    assert_eq!(user.get(&one).await.json()["name"], "Gate");
    assert_eq!(
        user.send(Method::DELETE, &one, &json!({})).await.status(),
        StatusCode::FORBIDDEN
    );
    let other = request("live/rest/v2/broadcasts/cam7");
    assert_eq!(user.get(&other).await.status(), StatusCode::FORBIDDEN);
    admin.send(Method::DELETE, &one, &json!({})).await.success();
    let mut nobody = Browser::new(&api);
    assert_eq!(nobody.get(&one).await.status(), StatusCode::FORBIDDEN);
    for bad in ["", "rest/v2/users", "LiveApp/rest/../../rest/v2/users"] {
        assert_eq!(
            admin.get(&request(bad)).await.status(),
            StatusCode::BAD_REQUEST,
            "{bad}"
        );
    }
}
