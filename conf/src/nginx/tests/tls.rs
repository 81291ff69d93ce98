//! What `ssl_*` and `proxy_ssl_*` mean and how they are refused.

use super::{http, load, message};
use crate::nginx::model::tls::{Cipher, ClientMode, Tls};

const PAIR: &str = "ssl_certificate a.crt; ssl_certificate_key /b.key;";

fn tls(inner: &str) -> Tls {
    let config = http(&format!("server {{ listen 443 ssl; {PAIR} {inner} }}")).unwrap();
    config.http.unwrap().servers[0].tls.clone().unwrap()
}

#[test]
fn defaults_are_mozillas_intermediate() {
    let tls = tls("");
    assert!(tls.protocols.tls12 && tls.protocols.tls13);
    assert_eq!(tls.ciphers.len(), 6);
    assert!(tls.session_tickets && tls.client.is_none());
    assert_eq!(tls.session_cache_entries, 0);
    assert_eq!(tls.alpn, ["http/1.1"]);
    let pair = &tls.certificates[0];
    assert_eq!(pair.chain.to_str(), Some("/nonexistent/a.crt"));
    assert_eq!(pair.key.to_str(), Some("/b.key"));
}

#[test]
fn values_are_taken_and_the_inner_ones_win() {
    let config = http(&format!(
        "ssl_protocols TLSv1 TLSv1.2; ssl_session_cache shared:SSL:1m; {PAIR}
         server {{ listen 443 ssl http2; ssl_verify_client optional; ssl_client_certificate ca;
           ssl_ciphers ECDHE+AESGCM+AES256:RC4; location / {{
             proxy_pass https://127.0.0.1; proxy_ssl_server_name on; }} }}"
    ))
    .unwrap();
    let noops: Vec<_> = config.noops().iter().map(|it| it.what.as_str()).collect();
    assert_eq!(
        noops,
        ["TLSv1 in ssl_protocols", "the cipher RC4 in ssl_ciphers"]
    );
    let server = &config.http.unwrap().servers[0];
    let tls = server.tls.as_ref().unwrap();
    assert!(tls.protocols.tls12 && !tls.protocols.tls13);
    assert_eq!(tls.session_cache_entries, 4096);
    assert_eq!(tls.client.as_ref().unwrap().mode, ClientMode::Optional);
    assert_eq!(
        tls.ciphers,
        [
            Cipher::EcdheEcdsaAes256GcmSha384,
            Cipher::EcdheRsaAes256GcmSha384
        ]
    );
    assert!(server.http2);
    assert_eq!(tls.alpn, ["h2", "http/1.1"]);
}

#[test]
fn what_is_missing_or_wrong_is_refused_in_nginxs_words() {
    let server = |inner: &str| message(http(&format!("server {{ listen 443 ssl;\n{inner}\n}}")));
    for (inner, wanted) in [
        (
            "return 200;",
            "no \"ssl_certificate\" is defined for the \"listen ... ssl\" directive in t.conf:3",
        ),
        (
            "ssl_certificate a;",
            "no \"ssl_certificate_key\" is defined for certificate \"/nonexistent/a\" in t.conf:4",
        ),
        (
            "ssl_protocols SSLv3;",
            "no protocol in \"ssl_protocols\" is spoken: TLSv1.2 and TLSv1.3 are in t.conf:4",
        ),
        (
            "ssl_protocols TLSv9;",
            "invalid value \"TLSv9\" in t.conf:4",
        ),
        (
            "ssl_ciphers RC4;",
            "no cipher of \"RC4\" in \"ssl_ciphers\" is supported in t.conf:4",
        ),
        (
            "ssl_session_cache shared:x;",
            "invalid session cache \"shared:x\" in t.conf:4",
        ),
        (
            "ssl_certificate a; ssl_certificate_key b;\nssl_verify_client on;",
            "no ssl_client_certificate for ssl_verify_client in t.conf:5",
        ),
        (
            "ssl_reject_handshake on;\nlocation / { proxy_ssl_verify on; \
             proxy_pass https://127.0.0.1; }",
            "no proxy_ssl_trusted_certificate for proxy_ssl_verify in t.conf:5",
        ),
    ] {
        assert_eq!(server(inner), format!("[emerg] {wanted}"), "{inner}");
    }
    let stream = |inner: &str| {
        message(load(&format!(
            "events {{}} stream {{ server {{\n{inner}\n}} }}"
        )))
    };
    assert_eq!(
        stream("listen 1 ssl; return x;"),
        "[emerg] no \"ssl_certificate\" is defined for the \"listen ... ssl\" directive in t.conf:2"
    );
    assert_eq!(
        stream("listen 1; return $host;"),
        "[emerg] unknown \"host\" variable in t.conf:2"
    );
    assert_eq!(
        stream("listen 1; return x; }\ngeo $x { proxy 127.0.0.1;"),
        "[emerg] invalid network \"proxy\" in t.conf:3"
    );
    assert_eq!(
        stream("listen 1; deny nobody; return x;"),
        "[emerg] invalid parameter \"nobody\" in t.conf:2"
    );
}
