//! Servers that ask for a password, or for TLS.

use crate::contract::{claim, key};
use crate::servers::ReplicaSet;
use mongodb::bson::doc;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tokio::time::{Duration, sleep, timeout};
use weir_cluster::{MongoOptions, MongoStore, Store};

const PASSWORD: &str = "p@ss/w:rd?&=%";

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

async fn works(options: MongoOptions) {
    let store = MongoStore::connect(options).await.unwrap();
    let owned = store.claim(claim("s", "a", 1)).await.unwrap();
    let record = store.broadcast(&key("s")).await.unwrap().unwrap();
    assert_eq!(record.owner, Some(owned));
    store.renew_lease("a").await.unwrap();
}

async fn is_refused(options: MongoOptions, secrets: &[&str]) {
    let shown = format!("{options:?}");
    let store = MongoStore::connect(options).await.unwrap();
    let error = store.broadcast(&key("s")).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    let shown = format!("{shown} {store:?} {error} {error:?}");
    for secret in secrets {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[tokio::test]
async fn a_server_that_asks_for_a_password_gets_it_and_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    std::fs::write(&keys, "c2VjcmV0IG9mIHRoZSBtZW1iZXJz").unwrap();
    std::fs::set_permissions(&keys, PermissionsExt::from_mode(0o600)).unwrap();
    let arguments = ["--auth".to_owned(), "--keyFile".to_owned(), text(&keys)];
    let Some(set) = ReplicaSet::spawn(1, &arguments, "").await else {
        return;
    };
    set.initiate().await;
    // The first user may be made from the same machine without one.
    let first = doc! { "createUser": "weir", "pwd": PASSWORD, "roles": ["root"] };
    let made = timeout(Duration::from_secs(60), async {
        while set.admin(0, first.clone()).await.is_err() {
            sleep(Duration::from_millis(100)).await;
        }
    });
    made.await.expect("a user");
    let named = |password: &str| MongoOptions {
        user: Some("weir".to_owned()),
        password: Some(password.to_owned()),
        ..set.options()
    };
    works(named(PASSWORD)).await;
    // The same in a URI, percent-encoded.
    let uri = "mongodb://weir:p%40ss%2Fw%3Ard%3F%26%3D%25@";
    let in_uri = MongoOptions {
        hosts_or_uri: format!("{uri}{}/?authSource=admin", set.hosts()),
        ..set.options()
    };
    works(in_uri).await;
    is_refused(named("s3cret-and-wrong"), &["s3cret", PASSWORD, "weir:"]).await;
    is_refused(set.options(), &[&set.hosts()]).await;
}

/// A CA, and a certificate and key of it for 127.0.0.1 in one file, as `mongod` wants them.
fn certificates(folder: &Path) {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    std::fs::write(
        folder.join("ca.pem"),
        ca.self_signed(&ca_key).unwrap().pem(),
    )
    .unwrap();
    let issuer = Issuer::new(ca, ca_key);
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let server = server.signed_by(&key, &issuer).unwrap();
    let both = format!("{}{}", server.pem(), key.serialize_pem());
    std::fs::write(folder.join("server.pem"), both).unwrap();
}

#[tokio::test]
async fn a_server_that_asks_for_tls_is_spoken_to_in_tls_and_must_be_known() {
    let (ours, foreign) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    certificates(ours.path());
    certificates(foreign.path());
    let ca = text(&ours.path().join("ca.pem"));
    let arguments = [
        ["--tlsMode", "requireTLS"].map(str::to_owned),
        [
            "--tlsCertificateKeyFile".to_owned(),
            text(&ours.path().join("server.pem")),
        ],
        ["--tlsCAFile".to_owned(), ca.clone()],
    ];
    let mut arguments = arguments.concat();
    arguments.push("--tlsAllowConnectionsWithoutCertificates".to_owned());
    let access = format!("&tls=true&tlsCAFile={ca}");
    let Some(set) = ReplicaSet::spawn(1, &arguments, &access).await else {
        return;
    };
    set.initiate().await;
    works(set.options()).await;
    let with = |options: String| MongoOptions {
        options: Some(options),
        ..set.options()
    };
    is_refused(with("replicaSet=rs0".to_owned()), &[]).await;
    is_refused(with("replicaSet=rs0&tls=true".to_owned()), &[]).await;
    let foreign = text(&foreign.path().join("ca.pem"));
    is_refused(
        with(format!("replicaSet=rs0&tls=true&tlsCAFile={foreign}")),
        &[],
    )
    .await;
}
