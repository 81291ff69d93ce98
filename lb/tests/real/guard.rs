//! What holds for a client before it is served.

use crate::tools::{Upstream, exchange, get, start_http};

fn asked(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{headers}\r\n")
}

#[tokio::test]
async fn a_believed_proxy_says_who_the_client_is() {
    let up = Upstream::named("x").await;
    let lb = start_http(&format!(
        "server {{ listen 127.0.0.1:0; set_real_ip_from 127.0.0.0/8; real_ip_header X-Forwarded-For;
           real_ip_recursive on; allow 192.0.2.7; deny all;
           proxy_set_header X-Real \"$remote_addr|$remote_port|$realip_remote_addr\";
           location / {{ proxy_pass http://{0}; }} }}
         server {{ listen 127.0.0.1:0; allow 192.0.2.7; deny all;
           location / {{ proxy_pass http://{0}; }}
           location /in {{ set_real_ip_from 127.0.0.1; proxy_pass http://{0}; }} }}",
        up.addr
    ));
    let asks =
        |place: usize, path: &str, headers: &str| exchange(lb.http[place], asked(path, headers));
    let told = "X-Forwarded-For: 8.8.8.8, 192.0.2.7:81, 127.0.0.3\r\n";
    assert!(asks(0, "/", told).await.starts_with("HTTP/1.1 200 "));
    let real = up.last().header("x-real");
    assert_eq!(real.as_deref(), Some("192.0.2.7|81|127.0.0.1"));
    assert!(get(lb.http[0], "/").await.starts_with("HTTP/1.1 403 "));
    // A location's own word counts before its rules; elsewhere nobody is believed.
    let told = "X-Real-IP: 192.0.2.7\r\n";
    assert!(asks(1, "/", told).await.starts_with("HTTP/1.1 403 "));
    assert!(asks(1, "/in", told).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_proxy_header_says_who_the_client_is() {
    let lb = start_http(
        "server { listen 127.0.0.1:0 proxy_protocol; set_real_ip_from 127.0.0.1;
           real_ip_header proxy_protocol; return 200 $remote_addr:$remote_port; }",
    );
    let header = "PROXY TCP4 192.0.2.9 192.0.2.10 4711 80\r\n";
    let answer = exchange(lb.http[0], format!("{header}{}", asked("/", ""))).await;
    assert!(answer.ends_with("192.0.2.9:4711"), "{answer}");
}
