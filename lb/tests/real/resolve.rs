//! Names resolved while running: a small name server whose answers the test changes.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::net::UdpSocket;

use crate::tools::{Answer, Upstream, get, ok, start_http, within};

/// A name server that answers every A question with what it was last told.
struct Dns {
    addr: SocketAddr,
    ips: Arc<Mutex<Vec<Ipv4Addr>>>,
}

impl Dns {
    async fn new(ips: &[Ipv4Addr]) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let addr = socket.local_addr().unwrap();
        let ips = Arc::new(Mutex::new(ips.to_vec()));
        let told = Arc::clone(&ips);
        tokio::spawn(async move {
            let mut question = [0; 512];
            loop {
                let (count, from) = socket.recv_from(&mut question).await.unwrap();
                let ips = told.lock().unwrap().clone();
                let answer = reply(&question[..count], &ips);
                socket.send_to(&answer, from).await.unwrap();
            }
        });
        Self { addr, ips }
    }

    fn tell(&self, ips: &[Ipv4Addr]) {
        *self.ips.lock().unwrap() = ips.to_vec();
    }
}

/// RFC 1035 section 4.1: the question again, and an address record of one second each.
fn reply(question: &[u8], ips: &[Ipv4Addr]) -> Vec<u8> {
    let name = question[12..].iter().position(|byte| *byte == 0).unwrap();
    let end = 12 + name + 1 + 4;
    let is_a = question[end - 4..end - 2] == [0, 1];
    let ips = if is_a { ips } else { &[] };
    let rcode = if is_a && ips.is_empty() { 3 } else { 0 };
    let mut out = question[..2].to_vec();
    out.extend([
        0x81,
        0x80 | rcode,
        0,
        1,
        0,
        u8::try_from(ips.len()).unwrap(),
        0,
        0,
        0,
        0,
    ]);
    out.extend(&question[12..end]);
    for ip in ips {
        out.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
        out.extend(ip.octets());
    }
    out
}

async fn at(ip: [u8; 4], port: u16, name: &'static str) -> Upstream {
    Upstream::at((ip, port).into(), move |_| Answer::Send(ok(name))).await
}

#[tokio::test]
async fn a_url_with_a_name_in_a_variable_is_resolved() {
    let one = at([127, 0, 0, 1], 0, "one").await;
    let dns = Dns::new(&[Ipv4Addr::LOCALHOST]).await;
    let lb = start_http(&format!(
        "resolver {} ipv6=off; resolver_timeout 2s;
         server {{ listen 127.0.0.1:0; location / {{ proxy_pass http://$arg_n:{}; }} }}",
        dns.addr,
        one.addr.port()
    ));
    assert!(get(lb.http[0], "/?n=known.test").await.ends_with("one"));
    dns.tell(&[]);
    let got = get(lb.http[0], "/?n=other.test").await;
    assert!(got.starts_with("HTTP/1.1 502 "), "{got}");
}

#[tokio::test]
async fn a_server_goes_where_its_name_goes() {
    let one = at([127, 0, 0, 1], 0, "one").await;
    let port = one.addr.port();
    let two = at([127, 0, 0, 2], port, "two").await;
    let dns = Dns::new(&[Ipv4Addr::new(127, 0, 0, 1)]).await;
    let lb = start_http(&format!(
        "resolver {} valid=500ms ipv6=off;
         upstream u {{ zone u 64k; server app.test:{port} resolve; }}
         server {{ listen 127.0.0.1:0; location / {{ proxy_pass http://u; }} }}",
        dns.addr
    ));
    let until = async |wanted: &str| {
        within(async {
            while !get(lb.http[0], "/").await.ends_with(wanted) {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        })
        .await;
    };
    until("one").await;
    dns.tell(&[Ipv4Addr::new(127, 0, 0, 2)]);
    until("two").await;
    // Silence changes nothing.
    dns.tell(&[]);
    tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    assert!(get(lb.http[0], "/").await.ends_with("two"));
    assert!(two.hits() > 1);
}
