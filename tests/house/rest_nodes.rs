//! REST of a cluster: whichever of its nodes is asked, the cluster answers.

use crate::support::encoder::Pattern;
use crate::support::{Answer, Encoder, MediaList, Mongod, Weir};
use crate::support::{get, request, request_with, send_json, wait_for};
use serde_json::json;

/// How soon a node applies settings that another was told, as the documentation says, s.
const APPLIED_S: f64 = 2.0;
/// MD5 of a password, as Ant Media's clients send it.
const SECRET_MD5: &str = "5ebe2294ecd0e0f08eab7690d2a6ee69";

fn origin(mongod: &Mongod, id: &str, ip: &str) -> Weir {
    Weir::builder()
        .role("origin")
        .set("db.type", "mongodb")
        .set("db.host", &mongod.address())
        .set("db.options", "replicaSet=rs0")
        .set("http.host", ip)
        .set("rtmp.host", ip)
        .set("cluster.node.id", id)
        .set("cluster.node.ip", ip)
        .unset("origin.http.listen")
        .unset("origin.rtmp.listen")
        .start()
}

fn origins(mongod: &Mongod) -> (Weir, Weir) {
    (
        origin(mongod, "one", "127.0.0.41"),
        origin(mongod, "two", "127.0.0.42"),
    )
}

fn succeeded(answer: Result<Answer, String>) -> Answer {
    let answer = answer.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["success"], true, "{}", answer.text());
    answer
}

/// The cookie of a session at `node`.
fn log_in(node: &Weir) -> String {
    let user = json!({"email": "admin@example.com", "password": SECRET_MD5});
    let url = node.url("/rest/v2/users/authenticate");
    let answer = succeeded(send_json("POST", &url, "", &user));
    let cookie = answer.header("set-cookie").split(';').next().unwrap();
    assert!(cookie.starts_with("JSESSIONID="), "{cookie}");
    cookie.to_owned()
}

#[test]
fn a_command_to_the_wrong_node_is_carried_out_by_the_owner() {
    let Some(mongod) = Mongod::start() else {
        return;
    };
    let (one, two) = origins(&mongod);
    let mut encoder = Encoder::publish(&one.rtmp("cam1"), &Pattern::default());
    one.wait_live("cam1");
    let record = |node: &Weir| node.url("/LiveApp/rest/v2/broadcasts/cam1");
    succeeded(send_json(
        "PUT",
        &record(&two),
        "",
        &json!({"name": "the yard"}),
    ));
    for node in [&one, &two] {
        let told = get(&record(node)).json();
        assert_eq!(
            (told["name"].as_str(), told["status"].as_str()),
            (Some("the yard"), Some("broadcasting"))
        );
    }
    // Only the node where it is published can close the publisher.
    succeeded(request("DELETE", &record(&two)));
    one.wait_log(&["publisher closed", "stopped"]);
    encoder.wait(crate::support::PATIENCE);
    wait_for("its record is gone everywhere", || {
        [&one, &two]
            .iter()
            .all(|node| get(&record(node)).status == 404)
            .then_some(())
    });
    let list = one.url("/LiveApp/streams/cam1/video.m3u8");
    assert!(MediaList::fetch(&list).is_some_and(|list| list.ended));
    assert!(!two.log().iter().any(|line| line.contains("closed")));
}

#[test]
#[allow(
    clippy::disallowed_methods,
    reason = "states how soon the other node applied the settings"
)]
fn a_session_and_a_setting_of_one_node_hold_on_the_other() {
    let Some(mongod) = Mongod::start() else {
        return;
    };
    let (one, two) = origins(&mongod);
    let user = json!({"email": "admin@example.com", "password": SECRET_MD5});
    succeeded(send_json(
        "POST",
        &one.url("/rest/v2/users/initial"),
        "",
        &user,
    ));
    let cookie = log_in(&one);
    let apps = |node: &Weir, cookie: &str| {
        let url = node.url("/rest/v2/applications");
        request_with("GET", &url, &[("cookie", cookie)]).unwrap()
    };
    assert_eq!(apps(&two, "").status, 403);
    let elsewhere = apps(&two, &cookie);
    assert_eq!(elsewhere.status, 200, "{}", elsewhere.text());

    let settings = "/rest/v2/applications/settings/LiveApp";
    let told = std::time::Instant::now();
    let change = json!({"hlsTime": "1", "hlsListSize": "4"});
    succeeded(send_json("POST", &one.url(settings), &cookie, &change));
    two.wait_log(&["application settings changed", "LiveApp", "hlsTime"]);
    let applied_s = told.elapsed().as_secs_f64();
    println!(
        "settings told to one node: applied by the other after {applied_s:.2} s (bound {APPLIED_S} s)"
    );
    // And they are what it cuts by.
    let _encoder = Encoder::publish(&two.rtmp("cam1"), &Pattern::default());
    let list = wait_for("four segments", || {
        let list = MediaList::fetch(&two.url("/LiveApp/streams/cam1/video.m3u8"))?;
        (list.entries.len() == 4 && list.entries[0].sequence > 0).then_some(list)
    });
    for entry in &list.entries {
        assert!((0.8..1.3).contains(&entry.duration_s), "{entry:?}");
    }

    // Who logs out on one node is out on the other.
    let url = two.url("/rest/v2/users/logout");
    succeeded(request_with("DELETE", &url, &[("cookie", &cookie)]));
    wait_for("logged out", || {
        (apps(&one, &cookie).status == 403).then_some(())
    });
}
