//! Pages and their files.

use crate::support::Api;
use http::{Method, StatusCode};

#[tokio::test]
async fn pages_are_served_with_a_policy_that_fits_the_player() {
    let api = Api::new();
    let index = api.get("/").await;
    assert_eq!(
        (index.status(), index.text()),
        (StatusCode::OK, "<html>list</html>")
    );
    assert_eq!(index.header("content-type"), "text/html; charset=utf-8");
    assert!(
        index
            .header("content-security-policy")
            .contains("frame-ancestors 'self'")
    );

    let player = api.get("/LiveApp/play.html?id=cam1&token=x").await;
    assert_eq!(
        (player.status(), player.text()),
        (StatusCode::OK, "<html>player</html>")
    );
    let policy = player.header("content-security-policy");
    for part in [
        "frame-ancestors *",
        "worker-src 'self' blob:",
        "media-src 'self' blob:",
        "default-src 'none'",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"));
    assert_eq!(
        player.header("x-frame-options"),
        "",
        "Ant Media's player is framed by other sites"
    );
    assert_eq!(player.header("x-content-type-options"), "nosniff");
    assert_eq!(player.header("cache-control"), "no-cache");
}

#[tokio::test]
async fn a_page_of_an_unknown_application_is_404() {
    let api = Api::new();
    for path in ["/Other/play.html", "/Other/assets/play-AAAABBBB.js"] {
        assert_eq!(
            api.get(path).await.status(),
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
}

#[tokio::test]
async fn files_are_found_at_the_root_and_under_an_application_and_kept() {
    let api = Api::new();
    for path in [
        "/assets/play-AAAABBBB.js",
        "/LiveApp/assets/play-AAAABBBB.js",
    ] {
        let answer = api.get(path).await;
        assert_eq!(
            (answer.status(), answer.text()),
            (StatusCode::OK, "play()"),
            "{path}"
        );
        assert!(answer.header("cache-control").contains("immutable"));
        assert_eq!(
            answer.header("content-type"),
            "text/javascript; charset=utf-8"
        );
    }
}

#[tokio::test]
async fn nothing_else_is_a_file() {
    let api = Api::new();
    for path in [
        "/assets/none.js",
        "/assets/../index.html",
        "/assets/..%2Findex.html",
        "/LiveApp/assets/",
        "/LiveApp/index.html",
        "/favicon.ico",
        "/LiveApp/",
        "//",
    ] {
        assert_eq!(
            api.get(path).await.status(),
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_known_version_is_not_sent_again() {
    let api = Api::new();
    for (known, status) in [
        ("\"p\"", StatusCode::NOT_MODIFIED),
        ("W/\"p\"", StatusCode::NOT_MODIFIED),
        ("\"x\", \"p\"", StatusCode::NOT_MODIFIED),
        ("*", StatusCode::NOT_MODIFIED),
        ("\"x\"", StatusCode::OK),
    ] {
        let answer = api
            .ask(
                Method::GET,
                "/LiveApp/play.html",
                &[("if-none-match", known)],
            )
            .await;
        assert_eq!(answer.status(), status, "{known}");
        assert_eq!(answer.header("etag"), "W/\"p\"");
        assert_eq!(answer.text().is_empty(), status == StatusCode::NOT_MODIFIED);
    }
}

#[tokio::test]
async fn gzip_is_for_those_who_accept_it() {
    let api = Api::new();
    for (accepted, encoding, text) in [
        ("gzip, deflate, br", "gzip", "zipped"),
        ("br;q=1.0, GZIP;q=0.5", "gzip", "zipped"),
        ("gzip;q=0", "", "play()"),
        ("gzip;q=0.000", "", "play()"),
        ("br", "", "play()"),
        ("", "", "play()"),
    ] {
        let headers = [("accept-encoding", accepted)];
        let answer = api
            .ask(Method::GET, "/assets/play-AAAABBBB.js", &headers)
            .await;
        assert_eq!(
            (answer.header("content-encoding"), answer.text()),
            (encoding, text),
            "{accepted}"
        );
        assert_eq!(answer.header("vary"), "accept-encoding");
    }
}
