//! Everything the store keeps beside ownership: one small interface for every kind of record.
//!
//! A record is a JSON object with Ant Media's field names. The store knows of a kind only where
//! it lives ([`Kind`]) and which fields name one record ([`Kind::key_fields`]); what the fields
//! mean is the typed records' affair ([`kinds`]). So a field that this version does not know is
//! kept as it was: a [`Records::patch`] sets the fields it names and touches no other, and two
//! writers of different fields never undo each other.
//!
//! **Broadcasts** are the same records that [`crate::Store`] keeps: what REST sets (name, metadata,
//! limits…) is patched here, what the owner reports is written there. `status` and figures are the
//! owner's; a patch from REST should leave them alone. `owner` is the store's own: what a call here
//! says of it is left out.
//!
//! **Names.** A field's name has no leading `$`, no dot and no NUL; a record is at most
//! [`RECORD_BYTES_MAX`] bytes and nests at most [`DEPTH_MAX`] deep. Anything else is
//! [`StoreError::Invalid`], in every store.
//!
//! **Durability.** `insert`, `put`, `patch`, `delete` and `delete_matching` are on stable storage (in
//! MongoDB: on a majority) before they are acknowledged. `add` and `append` may be lost when a process
//! dies: counters and events only.
//!
//! **Failures** are [`StoreError`]s. Records with fields of the wrong type are still listed; reading
//! them into a type takes the default for what cannot be read ([`kinds::read`]).

pub mod cached;
pub(crate) mod check;
pub mod kinds;
pub(crate) mod select;

pub use check::{
    ANY_OF_MAX, CONTAINS_BYTES_MAX, DEPTH_MAX, KEY_BYTES_MAX, NAME_BYTES_MAX, RECORD_BYTES_MAX,
};
pub use kinds::{ConnectionEvent, Subscriber, Token, User, Vod};

use crate::follow::ChangesHealth;
use crate::names::AppName;
use crate::store::StoreError;
use async_trait::async_trait;
use serde_json::{Map, Value};
use std::sync::Arc;
use tokio::sync::broadcast;

/// One record: field names to values.
pub type Fields = Map<String, Value>;

/// The most records one call lists (Ant Media's `MAX_ITEM_IN_ONE_LIST`).
pub const LIST_MAX: usize = 250;

/// A kind of record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A stream: `{db}.broadcast`.
    Broadcast,
    /// A recording: `{db}VoD.vod`.
    Vod,
    /// A one-time token: `{db}_token.token`.
    Token,
    /// A subscriber of one stream: `{db}_subscriber.subscriber`.
    Subscriber,
    /// A subscriber came or went: `{db}.ConnectionEvent`.
    ConnectionEvent,
    /// Counts by day and stream, for the dashboard: `{db}.weiranalytics`.
    Analytics,
    /// An application's settings: `clusterdb.AppSettings`. Of no application: `app` is `None`.
    AppSettings,
    /// A person who may log in: `serverdb.user`. Of no application: `app` is `None`.
    User,
    /// What all nodes share and nobody else may read, the cluster key for one:
    /// `clusterdb.weirsecret`. Of no application: `app` is `None`.
    Secret,
    /// Failed logins by name, for all nodes: `clusterdb.weirlogin`. Of no application: `app` is `None`.
    Login,
}

impl Kind {
    /// The fields that together name one record inside its application. Empty for
    /// [`Kind::ConnectionEvent`], whose records have no name.
    #[must_use]
    pub const fn key_fields(self) -> &'static [&'static str] {
        match self {
            Self::Broadcast => &["streamId"],
            Self::Vod => &["vodId"],
            Self::Token => &["tokenId"],
            Self::Subscriber => &["streamId", "subscriberId"],
            Self::ConnectionEvent => &[],
            Self::Analytics => &["day", "streamId"],
            Self::AppSettings => &["appName"],
            Self::User => &["email"],
            Self::Secret => &["name"],
            Self::Login => &["bucket"],
        }
    }

    /// Other fields that records are looked for by, each for itself.
    #[must_use]
    pub const fn searched_fields(self) -> &'static [&'static str] {
        match self {
            Self::Broadcast => &["status"],
            Self::Vod | Self::Token => &["streamId"],
            Self::ConnectionEvent => &["streamId", "subscriberId"],
            _ => &[],
        }
    }

    /// Whether a store that tells changes tells those of this kind. The others change with every
    /// viewer or are not kept in memory anywhere; telling every node of them would be noise. Of
    /// [`Kind::Broadcast`] and [`Kind::Subscriber`] a store may leave out changes of figures alone
    /// and subscribers that are new.
    #[must_use]
    pub const fn is_told(self) -> bool {
        match self {
            Self::Broadcast | Self::Subscriber | Self::AppSettings | Self::User | Self::Secret => {
                true
            }
            Self::Vod | Self::Token | Self::ConnectionEvent | Self::Analytics | Self::Login => {
                false
            }
        }
    }

    /// Whether it belongs to the whole cluster instead of to an application.
    #[must_use]
    pub const fn is_of_cluster(self) -> bool {
        matches!(
            self,
            Self::AppSettings | Self::User | Self::Secret | Self::Login
        )
    }

    /// Its name in one word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Broadcast => "broadcast",
            Self::Vod => "vod",
            Self::Token => "token",
            Self::Subscriber => "subscriber",
            Self::ConnectionEvent => "connectionEvent",
            Self::Analytics => "analytics",
            Self::AppSettings => "appSettings",
            Self::User => "user",
            Self::Secret => "secret",
            Self::Login => "login",
        }
    }

    /// Many of it, in words.
    #[must_use]
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Broadcast => "streams",
            Self::Vod => "recordings",
            Self::Token => "tokens",
            Self::Subscriber => "subscribers",
            Self::ConnectionEvent => "connection events",
            Self::Analytics => "analytics records",
            Self::AppSettings => "applications",
            Self::User => "users",
            Self::Secret => "secrets",
            Self::Login => "failed logins",
        }
    }

    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::Broadcast,
        Self::Vod,
        Self::Token,
        Self::Subscriber,
        Self::ConnectionEvent,
        Self::Analytics,
        Self::AppSettings,
        Self::User,
        Self::Secret,
        Self::Login,
    ];
}

/// The name of one record.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// What it is.
    pub kind: Kind,
    /// Its application, for kinds that are kept by application.
    pub app: Option<AppName>,
    /// Values of [`Kind::key_fields`], in that order.
    pub key: Vec<String>,
}

impl Place {
    /// A record of an application.
    #[must_use]
    pub fn in_app<const N: usize>(kind: Kind, app: &AppName, key: [&str; N]) -> Self {
        Self {
            kind,
            app: Some(app.clone()),
            key: key.map(str::to_owned).to_vec(),
        }
    }

    /// A record of the whole cluster.
    #[must_use]
    pub fn of_cluster(kind: Kind, key: &str) -> Self {
        Self {
            kind,
            app: None,
            key: vec![key.to_owned()],
        }
    }
}

/// In which order a list comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Smallest first.
    Ascending,
    /// Greatest first.
    Descending,
}

/// Which records are meant.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// What they are.
    pub kind: Kind,
    /// Their application.
    pub app: Option<AppName>,
    /// Fields that have these values; all must hold. A value that is an array means "any of
    /// these". A field that is missing equals `null`.
    pub equals: Vec<(&'static str, Value)>,
    /// A text, and the fields of which at least one must contain it, whatever its case. The text
    /// is taken as it is, never as a pattern.
    pub contains: Option<(String, &'static [&'static str])>,
    /// By which field, in which order; ties, and lists without it, in the order of the key.
    /// Missing fields count as smallest.
    pub sort: Option<(&'static str, Order)>,
    /// Records to skip.
    pub offset: usize,
    /// Records to list at most, at most [`LIST_MAX`].
    pub size: usize,
}

impl Query {
    /// All records of a kind, the first [`LIST_MAX`] of them.
    #[must_use]
    pub const fn all(kind: Kind, app: Option<AppName>) -> Self {
        Self {
            kind,
            app,
            equals: Vec::new(),
            contains: None,
            sort: None,
            offset: 0,
            size: LIST_MAX,
        }
    }
}

/// A record after a change.
#[derive(Clone)]
pub struct RecordChange {
    /// Which. Told are the kinds of [`Kind::is_told`]. An empty `key` says that a record of this
    /// kind and application went, and not which: every copy of that kind and application is old.
    pub place: Place,
    /// What it is now; `None` when it was deleted, or when the store tells only which one
    /// changed: then it must be read again.
    pub fields: Option<Arc<Fields>>,
}

impl std::fmt::Debug for RecordChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Its fields may be a user's password, or a secret of the cluster's.
        f.debug_struct("RecordChange")
            .field("place", &self.place)
            .field("to_be_read", &self.fields.is_none())
            .finish()
    }
}

/// Records by kind and key.
#[async_trait]
pub trait Records: Send + Sync + std::fmt::Debug {
    /// The record at `place`.
    async fn get(&self, place: &Place) -> Result<Option<Fields>, StoreError>;

    /// Writes a new record; `false`, and nothing written, when there is one. The key's fields are
    /// set from `place`.
    async fn insert(&self, place: &Place, fields: Fields) -> Result<bool, StoreError>;

    /// Writes a record whole, in place of what was there.
    async fn put(&self, place: &Place, fields: Fields) -> Result<(), StoreError>;

    /// Sets these fields of a record there is (`null` sets null), and returns what it is then;
    /// `None` when there is none.
    async fn patch(&self, place: &Place, set: Fields) -> Result<Option<Fields>, StoreError>;

    /// Deletes; says whether there was one. Of many who delete the same record, one is told so.
    async fn delete(&self, place: &Place) -> Result<bool, StoreError>;

    /// Records in the query's order.
    async fn list(&self, query: &Query) -> Result<Vec<Fields>, StoreError>;

    /// How many there are, whatever `offset` and `size` say.
    async fn count(&self, query: &Query) -> Result<u64, StoreError>;

    /// Deletes all that match, whatever `offset` and `size` say; returns how many.
    async fn delete_matching(&self, query: &Query) -> Result<u64, StoreError>;

    /// Adds to number fields of a record, which is made when there is none.
    async fn add(&self, place: &Place, by: &[(&'static str, i64)]) -> Result<(), StoreError>;

    /// Adds a record that has no name of its own ([`Kind::ConnectionEvent`]).
    async fn append(&self, kind: Kind, app: &AppName, fields: Fields) -> Result<(), StoreError>;

    /// Changes from now on, `None` when the store cannot tell, or not now. Bounded, and closed
    /// when the store has lost its place, as [`crate::Store::changes`].
    fn record_changes(&self) -> Option<broadcast::Receiver<RecordChange>> {
        None
    }

    /// How well [`Records::record_changes`] are being told.
    fn record_changes_health(&self) -> ChangesHealth {
        ChangesHealth::default()
    }
}
