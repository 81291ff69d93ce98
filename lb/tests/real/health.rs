//! Active HTTP checks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::tools::{Answer, Upstream, answer, get, ok, start_http};

#[tokio::test]
async fn a_peer_that_says_it_is_ill_gets_nothing_until_it_is_well() {
    let ill = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&ill);
    let one = Upstream::new(move |got| {
        if got.head.starts_with("GET /live ") {
            assert_eq!(got.header("host").as_deref(), Some("u"));
            let status = if flag.load(Ordering::SeqCst) {
                "503 No"
            } else {
                "200 OK"
            };
            return Answer::Send(answer(status, "", "x"));
        }
        Answer::Send(ok("one"))
    })
    .await;
    let two = Upstream::named("two").await;
    let lb = start_http(&format!(
        "upstream u {{ server {}; server {}; }}
         server {{ listen 127.0.0.1:0; location / {{ proxy_pass http://u;
           health_check interval=20ms fails=2 passes=2 uri=/live; }} }}",
        one.addr, two.addr
    ));
    let name = one.addr.to_string();
    let both = async || {
        let answers = [get(lb.http[0], "/").await, get(lb.http[0], "/").await];
        answers.iter().any(|answer| answer.ends_with("one"))
    };
    assert!(both().await);
    ill.store(true, Ordering::SeqCst);
    lb.until("weir_lb_peer_healthy", &name, 0.0).await;
    for _ in 0..5 {
        assert!(!both().await);
    }
    ill.store(false, Ordering::SeqCst);
    lb.until("weir_lb_peer_healthy", &name, 1.0).await;
    assert!(both().await);
    // A peer that is gone is ill too.
    one.kill();
    lb.until("weir_lb_peer_healthy", &name, 0.0).await;
    assert!(!both().await);
}
