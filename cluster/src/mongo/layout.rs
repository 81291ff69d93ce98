//! What Ant Media's documents have that our records have not, and the other way round.
//!
//! - `_t`, the Java class by which its mapper knows a document: written with every new one of Ant
//!   Media's kinds, never shown.
//! - `originAdress` is a host there. Our nodes listen at ports of their own, so the whole address
//!   stands beside it, in `weirOrigin`; the record has the whole one as `originAdress`. A document
//!   whose two do not agree was written by Ant Media since: then its `originAdress` holds.
//! - Names of indexes: see `mongo/indexes.rs`.

use super::documents::CHECKPOINT;
use crate::records::Kind;
use mongodb::bson::{Bson, Document};

/// `host:port` at which the stream's owner serves HTTP.
pub(super) const ORIGIN: &str = "weirOrigin";
/// The Java class of a document.
pub(super) const CLASS: &str = "_t";
/// The class of `clusterdb.clusternode`.
pub(super) const NODE_CLASS: &str = "ClusterNode";
const ADRESS: &str = "originAdress";

/// The class that Ant Media's documents of a kind name; `None` for kinds of our own.
pub(super) const fn class_of(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Broadcast => Some("Broadcast"),
        Kind::Vod => Some("VoD"),
        Kind::Token => Some("Token"),
        Kind::Subscriber => Some("Subscriber"),
        Kind::ConnectionEvent => Some("ConnectionEvent"),
        Kind::AppSettings => Some("AppSettings"),
        Kind::User => Some("User"),
        Kind::Analytics | Kind::Secret | Kind::Login => None,
    }
}

/// The name that Ant Media gives to the unique index of a kind, where it has one.
pub(super) const fn unique_index_of(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Broadcast => Some("streamId_unique_index"),
        Kind::AppSettings => Some("appName_unique_index"),
        _ => None,
    }
}

/// Writes the class into a new document.
pub(super) fn mark(kind: Kind, document: &mut Document) {
    if let Some(class) = class_of(kind) {
        document.insert(CLASS, class);
    }
}

/// Parts the address in a broadcast's fields as they are stored.
pub(super) fn part_address(fields: &mut Document) {
    let Ok(address) = fields.get_str(ADRESS) else {
        return;
    };
    if let Some(host) = host_of(address).map(str::to_owned) {
        fields.insert(ORIGIN, address.to_owned());
        fields.insert(ADRESS, host);
    }
}

/// What of a document is a record's: nothing of the database's, of its mapper's, of ours.
pub(super) fn unwrap(kind: Kind, document: &mut Document) {
    document.remove("_id");
    document.remove(CLASS);
    if kind == Kind::Broadcast {
        document.remove(CHECKPOINT);
        join_address(document);
    }
}

/// Makes the address in a broadcast's document whole again.
pub(super) fn join_address(document: &mut Document) {
    let Some(Bson::String(whole)) = document.remove(ORIGIN) else {
        return;
    };
    let host = document.get_str(ADRESS).ok();
    if host.is_some() && host == host_of(&whole) {
        document.insert(ADRESS, whole);
    }
}

/// The host of `host:port`, without the brackets of IPv6; `None` for anything else.
fn host_of(address: &str) -> Option<&str> {
    let (host, port) = address.rsplit_once(':')?;
    port.parse::<u16>().ok()?;
    let inner = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let host = inner.unwrap_or(host);
    (!host.is_empty() && (inner.is_some() || !host.contains(':'))).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mongodb::bson::doc;

    #[test]
    fn an_address_is_parted_and_made_whole() {
        for (address, host) in [
            ("10.0.0.1:5082", "10.0.0.1"),
            ("[::1]:5082", "::1"),
            ("a.example:1", "a.example"),
        ] {
            let mut document = doc! { "originAdress": address };
            part_address(&mut document);
            let parted = doc! { "originAdress": host, "weirOrigin": address };
            assert_eq!(document, parted);
            join_address(&mut document);
            assert_eq!(document, doc! { "originAdress": address });
        }
    }

    #[test]
    fn what_is_no_address_stays_and_ant_medias_word_holds() {
        for other in [
            "10.0.0.1",
            "::1",
            "unix:/run/weir.sock",
            "a:70000",
            ":1",
            "",
        ] {
            let mut document = doc! { "originAdress": other };
            part_address(&mut document);
            assert_eq!(document, doc! { "originAdress": other });
        }
        let mut moved = doc! { "originAdress": "10.0.0.2", "weirOrigin": "10.0.0.1:5082" };
        join_address(&mut moved);
        assert_eq!(moved, doc! { "originAdress": "10.0.0.2" });
        let mut cleared = doc! { "originAdress": null, "weirOrigin": 7 };
        join_address(&mut cleared);
        assert_eq!(cleared, doc! { "originAdress": null });
    }
}
