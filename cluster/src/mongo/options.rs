//! How to reach MongoDB: Ant Media's `db.*` keys, checked and without a way to leak a password.
//!
//! `db.options` takes what a URI takes: `replicaSet=rs0`, `authSource=admin`,
//! `authMechanism=SCRAM-SHA-256`, `tls=true`, `tlsCAFile=/path/ca.pem`,
//! `tlsCertificateKeyFile=/path/client.pem`, `maxPoolSize=32`, timeouts in ms. Without a CA of its own,
//! TLS trusts the roots that are built in.

use mongodb::options::{ClientOptions, Credential};
use std::fmt;
use std::time::Duration;

/// How long a call waits for a server that can take it.
const SERVER_SELECTION_TIMEOUT: Duration = Duration::from_secs(3);
/// How long one connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a server is looked at.
const SERVER_HEARTBEAT: Duration = Duration::from_secs(2);
/// Connections to one server, at most.
const POOL_MAX: u32 = 32;
/// The database of the application that gives no other name.
const DEFAULT_NAME: &str = "liveapp";

/// Ant Media's `db.host`, `db.name`, `db.user`, `db.password`, `db.options`.
#[derive(Clone, Default)]
pub struct MongoOptions {
    /// `host[:port][,host…]`, or a whole `mongodb://` or `mongodb+srv://` URI.
    pub hosts_or_uri: String,
    /// The database of the application `LiveApp`; `None` = `liveapp`. Every other application has
    /// its own name in lower case for a database.
    pub name: Option<String>,
    /// User, when not in the URI.
    pub user: Option<String>,
    /// Password, when not in the URI.
    pub password: Option<String>,
    /// More of a URI's options, `name=value&…`, for example `replicaSet=rs0`.
    pub options: Option<String>,
    /// Connections to one server at most, when the URI does not say; `None` = 32.
    pub pool_max: Option<u32>,
    /// Ask for changes once a second even where the server would tell them, for a server that must
    /// not be watched: what asking costs grows with the streams that nodes serve, what being told
    /// costs with those that start and end (`docs/capacity.md`).
    pub poll_only: bool,
}

/// Why the options cannot be used. Says nothing of what stands in them: it may be a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MongoOptionsError {
    /// No host was given.
    #[error("db.host is empty; a host list or a mongodb:// URI expected")]
    NoHost,
    /// Neither a host list nor a URI, or options that are none.
    #[error(
        "db.host and db.options do not make a MongoDB URI; \
         expected host[:port][,host…] or mongodb://…, and name=value&…"
    )]
    Malformed,
}

impl MongoOptions {
    /// The driver's options. Looks up DNS for `mongodb+srv://` only.
    pub(super) async fn to_client_options(&self) -> Result<ClientOptions, MongoOptionsError> {
        let hosts = self.hosts_or_uri.trim();
        if hosts.is_empty() {
            return Err(MongoOptionsError::NoHost);
        }
        let mut uri = if hosts.starts_with("mongodb://") || hosts.starts_with("mongodb+srv://") {
            hosts.to_owned()
        } else {
            format!("mongodb://{hosts}/")
        };
        if let Some(options) = self.options.as_deref().filter(|o| !o.is_empty()) {
            if !uri
                .split_once("://")
                .is_some_and(|(_, rest)| rest.contains('/'))
            {
                uri.push('/');
            }
            uri.push(if uri.contains('?') { '&' } else { '?' });
            uri.push_str(options);
        }
        // The driver's words may quote the URI, and the URI may hold a password.
        let parsed = ClientOptions::parse(uri).await;
        let mut client = parsed.map_err(|_| MongoOptionsError::Malformed)?;
        if let Some(user) = self.user.as_ref().filter(|user| !user.is_empty()) {
            let credential = client.credential.get_or_insert_with(Credential::default);
            credential.username = Some(user.clone());
            credential.password.clone_from(&self.password);
        }
        client.retry_writes.get_or_insert(true);
        client.retry_reads.get_or_insert(true);
        client.app_name.get_or_insert_with(|| "weir".to_owned());
        client.connect_timeout.get_or_insert(CONNECT_TIMEOUT);
        client.heartbeat_freq.get_or_insert(SERVER_HEARTBEAT);
        client
            .max_pool_size
            .get_or_insert(self.pool_max.unwrap_or(POOL_MAX));
        client
            .server_selection_timeout
            .get_or_insert(SERVER_SELECTION_TIMEOUT);
        Ok(client)
    }

    /// The database of an application.
    pub(super) fn database_of(&self, app: &str) -> String {
        let lower = app.to_ascii_lowercase();
        if lower == DEFAULT_NAME {
            self.name.clone().unwrap_or(lower)
        } else {
            lower
        }
    }
}

impl fmt::Debug for MongoOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MongoOptions")
            .field("name", &self.name)
            .field("user", &self.user.as_ref().map(|_| "(given)"))
            .field("password", &self.password.as_ref().map(|_| "(given)"))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(hosts: &str, more: Option<&str>) -> MongoOptions {
        MongoOptions {
            hosts_or_uri: hosts.to_owned(),
            options: more.map(str::to_owned),
            ..MongoOptions::default()
        }
    }

    #[tokio::test]
    async fn host_lists_and_uris_are_taken() {
        let more = Some("replicaSet=rs0&connectTimeoutMS=700");
        for hosts in ["a:1,b:2", "mongodb://a:1,b:2", "mongodb://a:1,b:2/?w=1"] {
            let client = options(hosts, more).to_client_options().await.unwrap();
            assert_eq!(client.hosts.len(), 2, "{hosts}");
            assert_eq!(client.repl_set_name.as_deref(), Some("rs0"), "{hosts}");
            assert_eq!(client.connect_timeout, Some(Duration::from_millis(700)));
            assert_eq!(client.retry_writes, Some(true), "{hosts}");
            assert_eq!(client.max_pool_size, Some(POOL_MAX), "{hosts}");
            assert_eq!(
                client.server_selection_timeout,
                Some(SERVER_SELECTION_TIMEOUT)
            );
        }
    }

    #[tokio::test]
    async fn what_the_operator_says_outranks_what_is_usual() {
        let more = Some("maxPoolSize=7&retryWrites=false&tls=true");
        let mut options = options("a", more);
        options.pool_max = Some(3);
        let client = options.to_client_options().await.unwrap();
        assert_eq!(client.max_pool_size, Some(7));
        assert_eq!(client.retry_writes, Some(false));
        assert!(matches!(
            client.tls,
            Some(mongodb::options::Tls::Enabled(_))
        ));
        options.options = None;
        let client = options.to_client_options().await.unwrap();
        assert_eq!(client.max_pool_size, Some(3));
    }

    #[tokio::test]
    async fn a_user_given_apart_is_used() {
        let mut options = options("a", None);
        options.user = Some("u".to_owned());
        options.password = Some("p@ss:/?".to_owned());
        let credential = options.to_client_options().await.unwrap().credential;
        let credential = credential.unwrap();
        assert_eq!(credential.username.as_deref(), Some("u"));
        assert_eq!(credential.password.as_deref(), Some("p@ss:/?"));
    }

    #[tokio::test]
    async fn no_error_and_no_debug_text_shows_a_password() {
        let mut bad = options("mongodb://u:s3cret@host:notaport/", None);
        bad.password = Some("s3cret".to_owned());
        let error = bad.to_client_options().await.unwrap_err();
        assert_eq!(error, MongoOptionsError::Malformed);
        assert!(!format!("{error} {error:?} {bad:?}").contains("s3cret"));
        let error = options(" ", None).to_client_options().await.unwrap_err();
        assert_eq!(error, MongoOptionsError::NoHost);
    }

    #[test]
    fn every_application_has_its_database() {
        let mut options = options("a", None);
        assert_eq!(options.database_of("LiveApp"), "liveapp");
        assert_eq!(options.database_of("WebRTCAppEE"), "webrtcappee");
        options.name = Some("mine".to_owned());
        assert_eq!(options.database_of("LiveApp"), "mine");
        assert_eq!(options.database_of("live"), "live");
    }
}
