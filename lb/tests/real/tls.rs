//! TLS on both sides: certificates by name, client certificates, HTTP/2, upstreams, `stream`.

use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use weir_lb::LbOptions;

use crate::tools::{bind, closes, connect, exchange, get, read_until, start, start_http, within};

/// A directory with an authority (`ca.crt`) and what it signed.
struct Files {
    dir: TempDir,
    ca: CertifiedIssuer<'static, KeyPair>,
}

impl Files {
    fn new(authority: &str) -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params
            .distinguished_name
            .push(DnType::CommonName, authority);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let files = Self {
            dir: tempfile::tempdir().unwrap(),
            ca,
        };
        files.write("ca.crt", &files.ca.pem());
        files
    }

    /// A certificate for a name, in `NAME.crt` and `NAME.key`.
    fn sign(&self, name: &str) -> &Self {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let cert = params.signed_by(&key, &self.ca).unwrap();
        self.write(&format!("{name}.crt"), &cert.pem());
        self.write(&format!("{name}.key"), &key.serialize_pem());
        self
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.dir.path().join(name), text).unwrap();
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// The two directives for a name's certificate.
    fn ssl(&self, name: &str) -> String {
        let (cert, key) = (
            self.path(&format!("{name}.crt")),
            self.path(&format!("{name}.key")),
        );
        format!("ssl_certificate {cert}; ssl_certificate_key {key};")
    }

    /// A client that trusts the authority, and shows a certificate if it is to.
    fn client(&self, own: Option<&str>, alpn: &[&str]) -> Arc<ClientConfig> {
        let mut roots = rustls::RootCertStore::empty();
        roots
            .add(CertificateDer::from(self.ca.der().to_vec()))
            .unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match own {
            Some(name) => {
                let cert = CertificateDer::from_pem_file(self.path(&format!("{name}.crt")));
                let key = PrivateKeyDer::from_pem_file(self.path(&format!("{name}.key")));
                builder
                    .with_client_auth_cert(vec![cert.unwrap()], key.unwrap())
                    .unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = alpn.iter().map(|it| it.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

async fn handshake(
    addr: SocketAddr,
    name: &str,
    config: &Arc<ClientConfig>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connector = TlsConnector::from(Arc::clone(config));
    within(connector.connect(name, connect(addr).await)).await
}

/// One request over TLS.
async fn fetch(addr: SocketAddr, name: &str, config: &Arc<ClientConfig>) -> String {
    let mut stream = handshake(addr, name, config).await.unwrap();
    let request = format!("GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut out = Vec::new();
    let _ = within(stream.read_to_end(&mut out)).await;
    String::from_utf8_lossy(&out).into_owned()
}

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
        ("on", &none, "400 Bad Request"),
        ("on", &bad, "400 Bad Request"),
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
    let answer = "return 200 '$server_protocol $host $scheme $remote_addr';";
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
    assert_eq!(body, "HTTP/2.0 one.test https 127.0.0.1");
    let mut stream = connect(lb.http[1]).await;
    stream.write_all(&h2_request()).await.unwrap();
    let body = h2_body(&mut stream).await;
    assert_eq!(body, "HTTP/2.0 one.test http 127.0.0.1");
    // HTTP/1 is spoken beside it.
    let got = get(lb.http[1], "/").await;
    assert!(got.ends_with("HTTP/1.1 test http 127.0.0.1"), "{got}");
    let client = files.client(None, &["http/1.1"]);
    let got = fetch(lb.http[0], "one.test", &client).await;
    assert!(got.ends_with("HTTP/1.1 one.test https 127.0.0.1"), "{got}");
}

#[tokio::test]
async fn upstreams_are_spoken_to_with_tls() {
    let (files, other) = (Files::new("ours"), Files::new("theirs"));
    files.sign("one.test").sign("client.test");
    let back = start_http(&format!(
        "server {{ listen 127.0.0.1:0 ssl; {} ssl_client_certificate {};
           ssl_verify_client optional; ssl_protocols TLSv1.2;
           return 200 '$ssl_protocol $ssl_server_name $ssl_client_verify'; }}",
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

/// Says its name and what it hears first.
async fn named(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut first = [0; 1];
                let _ = stream.read_exact(&mut first).await;
                let text = format!("{name} {:02x}", first[0]);
                let _ = stream.write_all(text.as_bytes()).await;
            });
        }
    });
    addr
}

#[tokio::test]
async fn streams_end_tls_begin_it_and_read_ahead() {
    let files = Files::new("ours");
    files.sign("one.test");
    let (a, b) = (named("a").await, named("b").await);
    let lb = start(&format!(
        "stream {{
           map $ssl_preread_server_name $to {{ one.test u; two.test {b}; default none; }}
           upstream u {{ server {a}; }}
           server {{ listen 127.0.0.1:0 ssl; {} proxy_pass u; }}
           server {{ listen 127.0.0.1:0; ssl_preread on; proxy_pass $to; }}
           server {{ listen 127.0.0.1:0 ssl; {} return '$ssl_protocol $protocol $remote_addr'; }}
           server {{ listen 127.0.0.1:0 proxy_protocol; set_real_ip_from 127.0.0.0/8;
             return '$proxy_protocol_addr $remote_addr $proxy_protocol_server_port'; }}
           server {{ listen 127.0.0.1:0; deny 127.0.0.1; allow all; return x; }}
         }}",
        files.ssl("one.test"),
        files.ssl("one.test"),
    ));
    let client = files.client(None, &[]);
    let mut stream = handshake(lb.tcp[0], "one.test", &client).await.unwrap();
    stream.write_all(b"\x01").await.unwrap();
    let mut out = [0; 4];
    within(stream.read_exact(&mut out)).await.unwrap();
    assert_eq!(&out, b"a 01");
    // The hello is passed on as it came.
    for (name, wanted) in [("one.test", "a 16"), ("two.test", "b 16")] {
        let hello = client_hello(&client, name);
        let mut stream = connect(lb.tcp[1]).await;
        stream.write_all(&hello).await.unwrap();
        assert_eq!(read_until(&mut stream, " 16").await, wanted);
    }
    let mut stream = connect(lb.tcp[1]).await;
    stream.write_all(b"no TLS").await.unwrap();
    assert!(closes(&mut stream).await);
    let mut stream = handshake(lb.tcp[2], "one.test", &client).await.unwrap();
    let mut out = String::new();
    within(stream.read_to_string(&mut out)).await.unwrap();
    assert_eq!(out, "TLSv1.3 TCP 127.0.0.1");
    let got = exchange(lb.tcp[3], "PROXY TCP4 192.0.2.7 192.0.2.8 1 99\r\n").await;
    assert_eq!(got, "192.0.2.7 192.0.2.7 99");
    assert_eq!(exchange(lb.tcp[3], "GET / HTTP/1.0\r\n\r\n").await, "");
    assert!(closes(&mut connect(lb.tcp[4]).await).await);
    // The same server behind `proxy_ssl`.
    let front = start(&format!(
        "stream {{ server {{ listen 127.0.0.1:0; proxy_pass {}; proxy_ssl on; }} }}",
        lb.tcp[2]
    ));
    let mut stream = connect(front.tcp[0]).await;
    assert_eq!(read_until(&mut stream, "127").await[..11], *"TLSv1.3 TCP");
}

fn client_hello(config: &Arc<ClientConfig>, name: &str) -> Vec<u8> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = rustls::ClientConnection::new(Arc::clone(config), name).unwrap();
    let mut out = Vec::new();
    client.write_tls(&mut out).unwrap();
    out
}

#[tokio::test]
async fn a_proxy_header_says_who_the_client_is() {
    let lb = start_http(
        "server { listen 127.0.0.1:0 proxy_protocol; return 200 '$proxy_protocol_addr'; }",
    );
    let request = "GET / HTTP/1.0\r\n\r\n";
    let got = exchange(
        lb.http[0],
        format!("PROXY TCP4 192.0.2.7 192.0.2.8 1 99\r\n{request}"),
    );
    let got = got.await;
    assert!(got.ends_with("192.0.2.7"), "{got}");
    assert_eq!(exchange(lb.http[0], request).await, "");
}
