//! TLS on both sides: certificates by name, client certificates, HTTP/2, upstreams.

use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsConnector;
use weir_lb::LbOptions;

use crate::certs::{Files, fetch, handshake};
use crate::tools::{bind, connect, get, start_http, within};

#[tokio::test]
async fn the_name_chooses_certificate_and_server() {
    let files = Files::new("ours");
    files.sign("one.test").sign("two.test");
    let vars = "$ssl_protocol $ssl_server_name $scheme $https $ssl_session_reused";
    let lb = start_http(&format!(
        "server {{ listen 127.0.0.1:0; return 200 plain; }}
         server {{ listen 127.0.0.2:0 ssl; server_name one.test; {} return 200 'one {vars}'; }}",
        files.ssl("one.test"),
    ));
    let client = files.client(None, &[]);
    let got = fetch(lb.http[1], "one.test", &client).await;
    assert!(got.ends_with("one TLSv1.3 one.test https on ."), "{got}");
    // The second time the session is known.
    let got = fetch(lb.http[1], "one.test", &client).await;
    assert!(got.ends_with("https on r"), "{got}");
    // It has no certificate for the other name.
    assert!(handshake(lb.http[1], "two.test", &client).await.is_err());
    // Plain HTTP where TLS is spoken, and silence.
    let got = get(lb.http[1], "/").await;
    assert!(got.starts_with("HTTP/1.1 400 "), "{got}");
    assert!(got.contains("400 Bad Request"), "{got}");
    let why = "The plain HTTP request was sent to HTTPS port";
    assert!(got.contains(why), "{got}");
    drop(lb);
    // A page for it, as people send clients on to https.
    let lb = start_http(&format!(
        "server {{ listen 127.0.0.1:0 ssl; {} error_page 497 =301 https://$host$request_uri; }}",
        files.ssl("one.test"),
    ));
    let got = get(lb.http[0], "/a?b").await;
    assert!(got.starts_with("HTTP/1.1 301 "), "{got}");
    assert!(got.contains("Location: https://test/a?b\r\n"), "{got}");
    drop(lb);
    let socket = files.path("socket");
    let _lb = start_http(&format!(
        "server {{ listen unix:{socket} ssl; server_name one.test; {} return 200 one; }}
         server {{ listen unix:{socket} ssl; server_name two.test; {} return 200 two; }}
         server {{ listen unix:{socket} ssl; server_name gone.test; ssl_reject_handshake on; }}",
        files.ssl("one.test"),
        files.ssl("two.test"),
    ));
    for (name, wanted) in [("one.test", "one"), ("two.test", "two")] {
        let stream = tokio::net::UnixStream::connect(&socket).await.unwrap();
        let connector = TlsConnector::from(Arc::clone(&client));
        let server = ServerName::try_from(name).unwrap();
        let mut stream = within(connector.connect(server, stream)).await.unwrap();
        let request = format!("GET / HTTP/1.0\r\nHost: {name}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut out = String::new();
        within(stream.read_to_string(&mut out)).await.unwrap();
        assert!(out.ends_with(wanted), "{out}");
    }
    let stream = tokio::net::UnixStream::connect(&socket).await.unwrap();
    let connector = TlsConnector::from(Arc::clone(&client));
    let server = ServerName::try_from("gone.test").unwrap();
    let error = within(connector.connect(server, stream)).await.unwrap_err();
    assert!(error.to_string().contains("UnrecognisedName"), "{error}");
}

#[tokio::test]
async fn a_client_without_the_right_certificate_gets_a_page() {
    let (files, other) = (Files::new("ours"), Files::new("theirs"));
    files.sign("one.test").sign("client.test");
    other.sign("client.test");
    let server = |mode: &str| {
        start_http(&format!(
            "server {{ listen 127.0.0.1:0 ssl; {} ssl_client_certificate {};
               ssl_verify_client {mode}; return 200 '$ssl_client_verify $ssl_client_s_dn'; }}",
            files.ssl("one.test"),
            files.path("ca.crt"),
        ))
    };
    let none = files.client(None, &[]);
    let good = files.client(Some("client.test"), &[]);
    std::fs::copy(other.path("client.test.crt"), files.path("bad.crt")).unwrap();
    std::fs::copy(other.path("client.test.key"), files.path("bad.key")).unwrap();
    let bad = files.client(Some("bad"), &[]);
    for (mode, client, wanted) in [
        ("on", &none, "No required SSL certificate was sent"),
        ("on", &bad, "The SSL certificate error"),
        ("on", &good, "SUCCESS CN=rcgen self signed cert"),
        ("optional", &none, "NONE "),
        ("optional", &bad, "400 Bad Request"),
        (
            "optional_no_ca",
            &bad,
            "FAILED:unable to verify the first certificate",
        ),
    ] {
        let lb = server(mode);
        let got = fetch(lb.http[0], "one.test", client).await;
        assert!(got.contains(wanted), "{mode}: {got}");
    }
}

/// `GET /` on stream 1 (RFC 7541 appendix A gives the numbers), after the client's settings.
fn h2_request() -> Vec<u8> {
    let mut out = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    out.extend([0, 0, 0, 4, 0, 0, 0, 0, 0]);
    let headers = [&[0x82, 0x86, 0x84, 0x41, 8][..], b"one.test"].concat();
    out.extend([0, 0, u8::try_from(headers.len()).unwrap(), 1, 5, 0, 0, 0, 1]);
    out.extend(headers);
    out
}

/// Reads frames until the body's, and gives it.
async fn h2_body(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> String {
    loop {
        let mut head = [0; 9];
        within(stream.read_exact(&mut head)).await.unwrap();
        let length = usize::from(u16::from_be_bytes([head[1], head[2]]));
        let mut payload = vec![0; length];
        within(stream.read_exact(&mut payload)).await.unwrap();
        if head[3] == 0 {
            return String::from_utf8(payload).unwrap();
        }
    }
}

#[tokio::test]
async fn http2_is_spoken_over_tls_and_in_the_clear() {
    let files = Files::new("ours");
    files.sign("one.test");
    let answer = "return 200 '$server_protocol $host $scheme $remote_addr $http2-$http_host';";
    let lb = start_http(&format!(
        "server {{ listen 127.0.0.1:0 ssl; server_name one.test; http2 on; {} {answer} }}
         server {{ listen 127.0.0.2:0; http2 on; {answer} }}",
        files.ssl("one.test"),
    ));
    let client = files.client(None, &["h2", "http/1.1"]);
    let mut stream = handshake(lb.http[0], "one.test", &client).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    stream.write_all(&h2_request()).await.unwrap();
    let body = h2_body(&mut stream).await;
    assert_eq!(body, "HTTP/2.0 one.test https 127.0.0.1 h2-one.test");
    let mut stream = connect(lb.http[1]).await;
    stream.write_all(&h2_request()).await.unwrap();
    let body = h2_body(&mut stream).await;
    assert_eq!(body, "HTTP/2.0 one.test http 127.0.0.1 h2c-one.test");
    // Upstreams hear of it as HTTP/1.1.
    let front = start_http(&format!(
        "server {{ listen 127.0.0.1:0; http2 on;
           location / {{ proxy_pass http://{}; proxy_set_header Host $http_host; }} }}",
        lb.http[1],
    ));
    let mut stream = connect(front.http[0]).await;
    stream.write_all(&h2_request()).await.unwrap();
    let body = h2_body(&mut stream).await;
    assert_eq!(body, "HTTP/1.1 one.test http 127.0.0.1 -one.test");
    // HTTP/1 is spoken beside it.
    let got = get(lb.http[1], "/").await;
    assert!(got.ends_with("HTTP/1.1 test http 127.0.0.1 -test"), "{got}");
    let client = files.client(None, &["http/1.1"]);
    let got = fetch(lb.http[0], "one.test", &client).await;
    assert!(
        got.ends_with("HTTP/1.1 one.test https 127.0.0.1 -one.test"),
        "{got}"
    );
}

#[tokio::test]
async fn upstreams_are_spoken_to_with_tls() {
    let (files, other) = (Files::new("ours"), Files::new("theirs"));
    files.sign("one.test").sign("client.test");
    let back = start_http(&format!(
        "server {{ listen 127.0.0.1:0 ssl; {} ssl_client_certificate {};
           ssl_verify_client optional; ssl_protocols TLSv1.2;
           return 200 '$ssl_protocol $ssl_server_name $ssl_client_verify $remote_addr'; }}",
        files.ssl("one.test"),
        files.path("ca.crt"),
    ));
    let pass = |more: &str| {
        start_http(&format!(
            "server {{ listen 127.0.0.1:0;
               location / {{ proxy_pass https://{}; proxy_ssl_name one.test; {more} }} }}",
            back.http[0],
        ))
    };
    let verify = |files: &Files| {
        let ca = files.path("ca.crt");
        format!("proxy_ssl_verify on; proxy_ssl_trusted_certificate {ca};")
    };
    let own = format!(
        "proxy_ssl_server_name on; proxy_ssl_certificate {}; proxy_ssl_certificate_key {};",
        files.path("client.test.crt"),
        files.path("client.test.key"),
    );
    for (more, wanted) in [
        (String::new(), "TLSv1.2  NONE"),
        (own, "TLSv1.2 one.test SUCCESS"),
        (
            "proxy_bind 127.0.0.9; proxy_socket_keepalive on;".to_owned(),
            "NONE 127.0.0.9",
        ),
        (verify(&files), "TLSv1.2  NONE"),
        (verify(&other), "502 Bad Gateway"),
        ("proxy_ssl_protocols TLSv1.3;".to_owned(), "502 Bad Gateway"),
    ] {
        let lb = pass(&more);
        for _ in 0..2 {
            let got = get(lb.http[0], "/").await;
            assert!(got.contains(wanted), "{more}: {got}");
        }
    }
}

#[tokio::test]
async fn a_url_with_variables_may_be_https() {
    let files = Files::new("ours");
    files.sign("one.test");
    let answer = "return 200 '$scheme $ssl_server_name $host';";
    let back = start_http(&format!(
        "server {{ listen 127.0.0.1:0; {answer} }}
         server {{ listen 127.0.0.2:0 ssl; {} {answer} }}",
        files.ssl("one.test"),
    ));
    let lb = start_http(&format!(
        "upstream one.test {{ server {secure}; }}
         upstream other.test {{ server {secure}; }}
         server {{ listen 127.0.0.1:0;
           proxy_ssl_server_name on; proxy_ssl_verify on; proxy_ssl_trusted_certificate {};
           location /plain {{ proxy_pass $arg_to://{}; }}
           location / {{ proxy_pass https://$arg_to; }} }}",
        files.path("ca.crt"),
        back.http[0],
        secure = back.http[1],
    ));
    for (path, wanted) in [
        ("/plain?to=http", "http  127.0.0.1"),
        ("/?to=one.test", "https one.test one.test"),
        // It has no certificate for this name.
        ("/?to=other.test", "502 Bad Gateway"),
    ] {
        let got = get(lb.http[0], path).await;
        assert!(got.contains(wanted), "{path}: {got}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_files_is_told_with_their_line() {
    let files = Files::new("ours");
    files.sign("one.test").sign("two.test");
    files.write("empty", "");
    let fault = |directives: &str| {
        let text =
            format!("http {{ server {{ listen 127.0.0.1:0 ssl;\n{directives}\nreturn 200; }} }}");
        let bound = bind(&text, LbOptions::default(), &prometheus::Registry::new());
        bound.err().expect("refused").to_string()
    };
    let ssl = |cert: &str, key: &str| {
        let (cert, key) = (files.path(cert), files.path(key));
        fault(&format!(
            "ssl_certificate {cert}; ssl_certificate_key {key};"
        ))
    };
    let key = files.path("two.test.key");
    assert_eq!(
        ssl("one.test.crt", "two.test.key"),
        format!("[emerg] SSL_CTX_use_PrivateKey({key:?}) failed: key values mismatch in t.conf:3")
    );
    let missing = ssl("none.crt", "two.test.key");
    assert!(
        missing.starts_with("[emerg] cannot load certificate \""),
        "{missing}"
    );
    assert!(missing.ends_with("(os error 2) in t.conf:3"), "{missing}");
    let empty = ssl("one.test.crt", "empty");
    assert!(empty.contains("cannot load certificate key"), "{empty}");
    assert!(!empty.contains("BEGIN"), "{empty}");
}

#[tokio::test]
async fn encrypted_keys_open_with_one_of_the_passwords() {
    let files = Files::new("ours");
    files.sign("one.test");
    let shut = files.path("shut.key");
    let done = std::process::Command::new("openssl")
        .args([
            "pkcs8",
            "-topk8",
            "-v2",
            "aes-128-cbc",
            "-passout",
            "pass:second",
        ])
        .args(["-in", &files.path("one.test.key"), "-out", &shut])
        .status()
        .unwrap();
    assert!(done.success());
    files.write("passwords", "first\nsecond\n");
    files.write("wrong", "first\n");
    let ssl = |passwords: &str| {
        format!(
            "http {{ server {{ listen 127.0.0.1:0 ssl; ssl_certificate {}; ssl_certificate_key {shut};
               ssl_password_file {}; return 200 opened; }} }}",
            files.path("one.test.crt"),
            files.path(passwords),
        )
    };
    let lb = crate::tools::start(&ssl("passwords"));
    let client = files.client(None, &[]);
    let mut stream = handshake(lb.http[0], "one.test", &client).await.unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
    let mut out = String::new();
    let _ = within(stream.read_to_string(&mut out)).await;
    assert!(out.ends_with("opened"), "{out}");
    let refused = bind(
        &ssl("wrong"),
        LbOptions::default(),
        &prometheus::Registry::new(),
    );
    let why = refused.err().unwrap().to_string();
    assert!(why.contains("shut.key") || why.contains("wrong"), "{why}");
    assert!(!why.contains("first"), "a password is told: {why}");
}
