//! Login, sessions and people, as a panel uses them.

use crate::support::{Answer, Api, START_MS};
use axum::body::Body;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use weir_api::ManagementOptions;
use weir_cluster::{Fields, Kind, Place};

const SECRET_MD5: &str = "5ebe2294ecd0e0f08eab7690d2a6ee69";
const OTHER_MD5: &str = "795f3202b17cb6bc3d4b771d8c6c9eaf";

/// A browser with a cookie.
pub(crate) struct Browser<'a> {
    api: &'a Api,
    cookie: String,
}

impl<'a> Browser<'a> {
    pub(crate) fn new(api: &'a Api) -> Self {
        let cookie = String::new();
        Self { api, cookie }
    }

    /// Makes the first user and logs in as it.
    pub(crate) async fn admin(api: &'a Api) -> Self {
        let mut browser = Self::new(api);
        let user = json!({"email": "admin@example", "password": SECRET_MD5});
        let made = browser
            .send(Method::POST, "/rest/v2/users/initial", &user)
            .await;
        made.success();
        assert_eq!(
            browser.log_in("admin@example", SECRET_MD5).await,
            "system/ADMIN"
        );
        browser
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.ask(Method::GET, path, Body::empty()).await
    }

    pub(crate) async fn send(&mut self, method: Method, path: &str, body: &Value) -> Answer {
        self.ask(method, path, Body::from(body.to_string())).await
    }

    /// The message of a login that succeeded.
    pub(crate) async fn log_in(&mut self, email: &str, password: &str) -> String {
        let answer = self.try_log_in(email, password).await;
        answer.success()["message"].as_str().unwrap().to_owned()
    }

    async fn try_log_in(&mut self, email: &str, password: &str) -> Answer {
        let body = json!({"email": email, "password": password});
        self.send(Method::POST, "/rest/v2/users/authenticate", &body)
            .await
    }

    async fn ask(&mut self, method: Method, path: &str, body: Body) -> Answer {
        let headers = [
            ("cookie", self.cookie.as_str()),
            ("content-type", "application/json"),
        ];
        let answer = self
            .api
            .ask_from("203.0.113.9", method, path, &headers, body)
            .await;
        if let Some((pair, _)) = answer.header("set-cookie").split_once(';') {
            self.cookie = pair.to_owned();
        }
        answer
    }
}

#[tokio::test]
async fn the_first_user_is_made_once_and_logs_in() {
    let api = Api::managed(ManagementOptions::default()).await;
    let mut browser = Browser::new(&api);
    for path in ["/rest/v2/first-login-status", "/rest/isFirstLogin"] {
        assert_eq!(browser.get(path).await.json()["success"], true, "{path}");
    }
    let refused = browser.get("/rest/v2/user-list").await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    assert_eq!(refused.text(), "Not authenticated user");

    let mut browser = Browser::admin(&api).await;
    assert_eq!(
        browser.get("/rest/v2/first-login-status").await.json()["success"],
        false
    );
    assert_eq!(
        browser.get("/rest/v2/authentication-status").await.json()["success"],
        true
    );
    assert_eq!(
        browser.get("/rest/v2/admin-status").await.json()["success"],
        true
    );
    let again = json!({"email": "second@example", "password": SECRET_MD5});
    for path in ["/rest/v2/users/initial", "/rest/addInitialUser"] {
        let answer = browser.send(Method::POST, path, &again).await;
        assert!(answer.failure().contains("already"), "{path}");
    }
    let users = browser.get("/rest/v2/user-list").await.json();
    assert_eq!(users.as_array().unwrap().len(), 1);
    assert_eq!(users[0]["email"], "admin@example");
    assert!(users[0]["password"].is_null(), "{users}");

    let place = Place::of_cluster(Kind::User, "admin@example");
    let stored = api.store.get(&place).await.unwrap().unwrap();
    assert!(
        stored["password"]
            .as_str()
            .unwrap()
            .starts_with("$argon2id$")
    );
}

#[tokio::test]
async fn the_cookie_is_careful_and_a_logout_ends_it_everywhere() {
    let api = Api::managed(ManagementOptions::default()).await;
    let mut browser = Browser::admin(&api).await;
    let answer = browser.try_log_in("admin@example", SECRET_MD5).await;
    let cookie = answer.header("set-cookie").to_owned();
    assert!(cookie.starts_with("JSESSIONID="), "{cookie}");
    for part in ["Path=/", "HttpOnly", "SameSite=Lax", "Max-Age=43200"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let kept = browser.cookie.clone();
    browser
        .send(Method::DELETE, "/rest/v2/users/logout", &json!({}))
        .await
        .success();
    browser.cookie.clone_from(&kept);
    assert_eq!(
        browser.get("/rest/v2/applications").await.status(),
        StatusCode::FORBIDDEN
    );
    let place = Place::of_cluster(Kind::User, "admin@example");
    let stored = api.store.get(&place).await.unwrap().unwrap();
    let ended = stored["weirEndedSessions"].as_array().unwrap();
    assert_eq!(ended.len(), 1, "for the other nodes");
}

#[tokio::test]
async fn a_cookie_is_known_until_its_time_is_over_and_never_if_it_was_changed() {
    let api = Api::managed(ManagementOptions::default()).await;
    let mut browser = Browser::admin(&api).await;
    let good = browser.cookie.clone();
    let middle = good.len() / 2;
    for forged in [
        good[..good.len() - 2].to_owned(),
        format!("{}x{}", &good[..middle], &good[middle + 1..]),
        "JSESSIONID=".to_owned(),
        format!("JSESSIONID={}", "a".repeat(10_000)),
    ] {
        browser.cookie = forged;
        assert_eq!(
            browser.get("/rest/v2/applications").await.status(),
            StatusCode::FORBIDDEN
        );
    }
    browser.cookie = good;
    assert_eq!(
        browser.get("/rest/v2/applications").await.status(),
        StatusCode::OK
    );
    api.clock.set(START_MS + 12 * 3_600_000);
    assert_eq!(
        browser.get("/rest/v2/applications").await.status(),
        StatusCode::FORBIDDEN
    );
}

#[tokio::test]
async fn the_third_wrong_password_blocks_and_nothing_tells_who_exists() {
    let api = Api::managed(ManagementOptions::default()).await;
    Browser::admin(&api).await;
    let mut browser = Browser::new(&api);
    for name in ["admin@example", "nobody@example"] {
        let blocked = format!("/rest/v2/users/{name}/blocked");
        for _ in 0..3 {
            assert_eq!(browser.get(&blocked).await.json()["success"], false);
            assert_eq!(browser.try_log_in(name, OTHER_MD5).await.failure(), "");
        }
        assert_eq!(browser.get(&blocked).await.json()["success"], true);
        let words = "Too many login attempts. User is blocked for 300 secs";
        assert_eq!(browser.try_log_in(name, SECRET_MD5).await.failure(), words);
    }
    api.clock.set(START_MS + 300_000);
    assert_eq!(
        browser.log_in("admin@example", SECRET_MD5).await,
        "system/ADMIN"
    );
}

#[tokio::test]
async fn a_user_of_ant_medias_logs_in_and_is_kept_better_from_then_on() {
    let api = Api::managed(ManagementOptions::default()).await;
    let place = Place::of_cluster(Kind::User, "old@example");
    let record = json!({"email": "old@example", "password": SECRET_MD5, "userType": "ADMIN",
        "scope": "system", "className": "io.antmedia.datastore.db.types.User"});
    let Value::Object(record) = record else {
        panic!("an object")
    };
    api.store.put(&place, record).await.unwrap();
    let mut browser = Browser::new(&api);
    for _ in 0..2 {
        assert_eq!(
            browser.log_in("old@example", SECRET_MD5).await,
            "system/ADMIN"
        );
        let stored = api.store.get(&place).await.unwrap().unwrap();
        assert!(
            stored["password"]
                .as_str()
                .unwrap()
                .starts_with("$argon2id$"),
            "{stored:?}"
        );
        assert!(stored.contains_key("className"), "what is not ours stays");
    }
}

#[tokio::test]
async fn people_are_added_changed_and_removed_within_what_each_may() {
    let api = Api::managed(ManagementOptions::default()).await;
    let mut admin = Browser::admin(&api).await;
    let reader = json!({"email": "r@example", "password": SECRET_MD5, "userType": "READ_ONLY", "scope": "system"});
    admin
        .send(Method::POST, "/rest/v2/users", &reader)
        .await
        .success();
    let twice = admin.send(Method::POST, "/rest/v2/users", &reader).await;
    assert!(twice.failure().contains("of that name"));
    let odd = json!({"email": "o@example", "password": SECRET_MD5, "userType": "ROOT"});
    let odd = admin.send(Method::POST, "/rest/v2/users", &odd).await;
    assert_eq!(odd.status(), StatusCode::BAD_REQUEST);

    let mut browser = Browser::new(&api);
    assert_eq!(
        browser.log_in("r@example", SECRET_MD5).await,
        "system/READ_ONLY"
    );
    assert_eq!(
        browser.get("/rest/v2/applications").await.status(),
        StatusCode::OK
    );
    assert_eq!(
        browser.get("/rest/v2/admin-status").await.json()["success"],
        false
    );
    for (method, path) in [
        (Method::POST, "/rest/v2/applications/new"),
        (Method::POST, "/rest/v2/users"),
        (Method::DELETE, "/rest/v2/users/admin@example"),
        (Method::POST, "/rest/v2/applications/settings/LiveApp"),
        (Method::GET, "/rest/v2/user-list"),
        (Method::GET, "/rest/cluster/deleteNode/n"),
    ] {
        let answer = browser.send(method, path, &json!({})).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{path}");
        assert_eq!(
            answer.text(),
            "Not allowed to access this resource. Contact system admin"
        );
    }

    let change = json!({"password": SECRET_MD5, "newPassword": OTHER_MD5});
    let old = browser.cookie.clone();
    api.clock.set(START_MS + 1);
    browser
        .send(Method::POST, "/rest/v2/users/password", &change)
        .await
        .success();
    assert_eq!(
        browser.get("/rest/v2/applications").await.status(),
        StatusCode::OK
    );
    let mut elsewhere = Browser::new(&api);
    elsewhere.cookie = old;
    assert_eq!(
        elsewhere.get("/rest/v2/applications").await.status(),
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        elsewhere
            .try_log_in("r@example", SECRET_MD5)
            .await
            .failure(),
        ""
    );

    let own = admin
        .send(Method::DELETE, "/rest/v2/users/admin@example", &json!({}))
        .await;
    assert_eq!(own.failure(), "You cannot delete yourself");
    let promoted = json!({"email": "r@example", "userType": "ADMIN", "scope": "LiveApp"});
    admin
        .send(Method::PUT, "/rest/v2/users", &promoted)
        .await
        .success();
    let answer = browser.get("/rest/v2/applications").await;
    assert_eq!(
        answer.status(),
        StatusCode::FORBIDDEN,
        "a role holds at once"
    );
    admin
        .send(Method::DELETE, "/rest/v2/users/r@example", &json!({}))
        .await
        .success();
    assert_eq!(
        browser.get("/rest/v2/version").await.status(),
        StatusCode::FORBIDDEN
    );
}

#[tokio::test]
async fn a_change_from_another_sites_page_is_refused() {
    let api = Api::managed(ManagementOptions::default()).await;
    let browser = Browser::admin(&api).await;
    let headers = [
        ("cookie", browser.cookie.as_str()),
        ("sec-fetch-site", "cross-site"),
    ];
    let path = "/rest/cluster/deleteNode/n";
    let answer = api
        .ask_from("203.0.113.9", Method::GET, path, &headers, Body::empty())
        .await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    let path = "/rest/v2/applications";
    let answer = api
        .ask_from("203.0.113.9", Method::GET, path, &headers, Body::empty())
        .await;
    assert_eq!(answer.status(), StatusCode::OK, "reading is no change");
}

#[tokio::test]
async fn fields_of_a_record_that_are_wrong_lock_nobody_in() {
    let api = Api::managed(ManagementOptions::default()).await;
    let place = Place::of_cluster(Kind::User, "odd@example");
    let record = Fields::from_iter([
        ("password".to_owned(), json!(7)),
        ("userType".to_owned(), json!([])),
    ]);
    api.store.put(&place, record).await.unwrap();
    let mut browser = Browser::new(&api);
    assert_eq!(
        browser
            .try_log_in("odd@example", SECRET_MD5)
            .await
            .failure(),
        ""
    );
}
