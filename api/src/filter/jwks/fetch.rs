//! One GET of a key set, over HTTP or HTTPS (Mozilla's certificate authorities), to exactly the URL that was set.
//!
//! The client is a blocking one on a thread of tokio's pool: a set is fetched every ten minutes, and no more than one
//! fetch a URL is under way. What fails is told in words without a byte of the answer, so that who may set the URL
//! cannot read through us what only this machine can reach.

use http::Uri;
use std::time::Duration;
use ureq::Agent;

/// How long a fetch may take, names looked up and TLS included.
pub(super) const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest set, bytes.
pub(super) const BODY_BYTES_MAX: u64 = 256 * 1024;
/// The longest URL, bytes.
const URL_BYTES_MAX: usize = 2048;

/// Says of a `jwksURL` why it cannot be one.
///
/// # Errors
/// What it must be.
pub(crate) fn check_url(url: &str) -> Result<(), String> {
    let uri: Option<Uri> = url.parse().ok().filter(|_| url.len() <= URL_BYTES_MAX);
    let good = uri.is_some_and(|uri| {
        let scheme = uri.scheme_str().unwrap_or_default();
        let authority = uri.authority().map_or("", http::uri::Authority::as_str);
        ["http", "https"].contains(&scheme) && !authority.is_empty() && !authority.contains('@')
    });
    if good {
        return Ok(());
    }
    Err(format!(
        "it must be an http:// or https:// URL of at most {URL_BYTES_MAX} bytes, without a user or password in it"
    ))
}

/// A URL as logs may show it: without its query, which may hold a key.
pub(super) fn shown(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}

/// The way to a key set.
#[derive(Clone, Debug)]
pub(super) struct Fetcher(Agent);

impl Fetcher {
    pub(super) fn new() -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(FETCH_TIMEOUT))
            .max_redirects(0)
            .max_idle_connections(0)
            .proxy(None)
            .accept("application/json")
            .user_agent("weir")
            .build();
        Self(config.new_agent())
    }

    /// The set's text.
    pub(super) async fn fetch(&self, url: &str) -> Result<Vec<u8>, String> {
        check_url(url)?;
        let (agent, url) = (self.0.clone(), url.to_owned());
        let fetched = tokio::task::spawn_blocking(move || get(&agent, &url)).await;
        fetched.unwrap_or_else(|_| Err("the fetch was given up".to_owned()))
    }
}

fn get(agent: &Agent, url: &str) -> Result<Vec<u8>, String> {
    let mut response = agent.get(url).call().map_err(|error| error.to_string())?;
    if response.status() != http::StatusCode::OK {
        return Err(format!("status {}", response.status().as_u16()));
    }
    let body = response.body_mut().with_config().limit(BODY_BYTES_MAX);
    body.read_to_vec().map_err(|error| error.to_string())
}
