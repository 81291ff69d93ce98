//! Starting and ending: addresses that cannot be had, draining, cutting.

use std::time::Duration;

use prometheus::Registry;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use crate::tools::{
    Answer, Upstream, bind, closes, connect, ok, read_until, start_proxy, start_with, within,
};
use weir_lb::{LbError, LbOptions};

#[tokio::test]
async fn an_address_in_use_is_named_with_its_line() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = taken.local_addr().unwrap();
    for text in [
        format!("http {{ server {{\nlisten {addr}; }} }}"),
        format!("stream {{ server {{\nlisten {addr}; proxy_pass 127.0.0.1:1; }} }}"),
    ] {
        let error = bind(&text, LbOptions::default(), &Registry::new())
            .err()
            .unwrap();
        assert_eq!(
            error.to_string(),
            format!("[emerg] bind() to {addr} failed (98: Address already in use) in t.conf:3")
        );
        let LbError::Bind { source, .. } = error else {
            panic!("{error}")
        };
        assert_eq!(source.kind(), std::io::ErrorKind::AddrInUse);
    }
    let text = "http { server { listen 192.0.2.1:8080; } }";
    let error = bind(text, LbOptions::default(), &Registry::new())
        .err()
        .unwrap();
    assert!(
        error
            .to_string()
            .contains("bind() to 192.0.2.1:8080 failed"),
        "{error}"
    );
}

#[tokio::test]
async fn two_balancers_do_not_share_a_registry() {
    let registry = Registry::new();
    let text = "http { server { listen 127.0.0.1:0; location / { return 200; } } }";
    let first = bind(text, LbOptions::default(), &registry);
    let second = bind(text, LbOptions::default(), &registry);
    assert!(first.is_ok() && matches!(second, Err(LbError::Metrics(_))));
}

#[tokio::test]
async fn a_socket_on_all_interfaces_serves_the_single_ones() {
    let port = crate::tools::dead_port().await.port();
    let text = format!(
        "http {{ server {{ listen 127.0.0.1:{port}; location / {{ return 200 loop; }} }}
                 server {{ listen {port}; location / {{ return 200 any; }} }}
                 server {{ listen 127.0.0.2:{port}; server_name x; location / {{ return 200 two; }} }} }}"
    );
    let lb = start_with(&text, LbOptions::default(), Duration::from_secs(1));
    assert_eq!(lb.http.len(), 1);
    for (ip, wanted) in [
        ("127.0.0.1", "loop"),
        ("127.0.0.2", "two"),
        ("127.0.0.3", "any"),
    ] {
        let answer = crate::tools::get(format!("{ip}:{port}").parse().unwrap(), "/").await;
        assert!(answer.ends_with(wanted), "{ip}: {answer}");
    }
}

#[tokio::test]
async fn requests_in_hand_end_and_idle_connections_go_at_once() {
    let go = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let gate = std::sync::Arc::clone(&go);
    let up =
        Upstream::new(move |_| Answer::Pieces(vec![ok("finished")], std::sync::Arc::clone(&gate)))
            .await;
    let lb = start_proxy(&[&up], "");
    let addr = lb.http[0];
    let mut idle = connect(addr).await;
    let mut busy = connect(addr).await;
    busy.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    lb.until("weir_lb_peer_active", "", 1.0).await;
    lb.begin_stop();
    assert!(closes(&mut idle).await);
    assert!(
        within(TcpStream::connect(addr)).await.is_err(),
        "still accepting"
    );
    go.add_permits(1);
    read_until(&mut busy, "finished").await;
    assert!(closes(&mut busy).await, "kept open after the end began");
    lb.stop().await;
}

#[tokio::test]
async fn what_does_not_end_is_cut_at_the_limit() {
    let hung = Upstream::new(|_| Answer::Hang).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let text = format!(
        "http {{ server {{ listen 127.0.0.1:0; location / {{ proxy_pass http://{}; }} }} }}
         stream {{ server {{ listen 127.0.0.1:0; proxy_pass {}; }} }}",
        hung.addr,
        silent.local_addr().unwrap()
    );
    let lb = start_with(&text, LbOptions::default(), Duration::from_millis(200));
    let mut request = connect(lb.http[0]).await;
    request
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    let mut stream = connect(lb.tcp[0]).await;
    lb.until("weir_lb_peer_active", "", 2.0).await;
    let registry = lb.registry.clone();
    lb.stop().await;
    assert!(closes(&mut request).await && closes(&mut stream).await);
    let open = registry
        .gather()
        .into_iter()
        .find(|it| it.name() == "weir_lb_peer_active");
    assert!(
        open.unwrap()
            .get_metric()
            .iter()
            .all(|it| it.get_gauge().get_value() == 0.0)
    );
}
