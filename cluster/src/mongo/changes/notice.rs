//! What an entry of the log says of one change, as a document and back.
//!
//! Of a stream as much as a reader needs to find it; of every other record only which one it is:
//! settings, users and subscribers hold secrets, and those who keep a copy read the record anew.

use super::event::Event;
use super::pipeline::STREAM_TOLD;
use crate::names::StreamKey;
use crate::records::Kind;
use mongodb::bson::{Bson, Document, doc};

/// The document; `None` for what need not be told.
pub(super) fn of(event: &Event) -> Option<Document> {
    match event {
        Event::Epoch { key, over } => Some(doc! { "epoch": key.to_string(), "over": *over }),
        Event::Record {
            kind,
            database,
            id,
            document,
        } => {
            let record = document.as_ref().map(|document| trimmed(*kind, document));
            Some(doc! { "kind": kind.name(), "db": database, "id": id, "record": record })
        }
        Event::Dropped => Some(doc! { "dropped": true }),
        Event::Other => None,
    }
}

/// Reads it; what cannot be read is nothing of ours.
pub(super) fn read(notice: Bson) -> Event {
    match notice {
        Bson::Document(notice) => event(notice).unwrap_or(Event::Other),
        _ => Event::Other,
    }
}

fn event(mut notice: Document) -> Option<Event> {
    if notice.get_bool("dropped").unwrap_or(false) {
        return Some(Event::Dropped);
    }
    if let Ok(key) = notice.get_str("epoch") {
        let (app, id) = key.split_once('/')?;
        return Some(Event::Epoch {
            key: StreamKey::parse(app, id).ok()?,
            over: notice.get_bool("over").ok()?,
        });
    }
    let named = notice.get_str("kind").ok()?;
    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == named)?;
    let document = match notice.remove("record") {
        Some(Bson::Document(document)) => Some(document),
        _ => None,
    };
    Some(Event::Record {
        kind,
        database: notice.get_str("db").ok().map(str::to_owned),
        id: notice.get_str("id").ok()?.to_owned(),
        document,
    })
}

fn trimmed(kind: Kind, document: &Document) -> Document {
    let told: &[&str] = match kind {
        Kind::Broadcast => &STREAM_TOLD,
        _ => &[],
    };
    let names = kind.key_fields().iter().chain(told);
    let named = names.filter_map(|name| Some(((*name).to_owned(), document.get(name)?.clone())));
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_comes_back_and_secrets_are_not_in_it() {
        let stream = |document| Event::Record {
            kind: Kind::Broadcast,
            database: Some("liveapp".to_owned()),
            id: "7".to_owned(),
            document,
        };
        let owner = doc! { "nodeId": "a", "epoch": 5_i64 };
        let told = doc! { "streamId": "s", "status": "broadcasting", "owner": &owner };
        let mut whole = told.clone();
        whole.insert("subscriberAuthenticationKey", "s3cret");
        let again = |event: &Event| read(of(event).unwrap().into());
        assert_eq!(again(&stream(Some(whole))), stream(Some(told)));
        assert_eq!(again(&stream(None)), stream(None));
        let user = Event::Record {
            kind: Kind::User,
            database: None,
            id: "7".to_owned(),
            document: Some(doc! { "email": "e", "password": "s3cret" }),
        };
        let text = format!("{:?}", of(&user));
        assert!(text.contains("\"e\"") && !text.contains("s3cret"), "{text}");
        for over in [true, false] {
            let key = StreamKey::parse("LiveApp", "s").unwrap();
            let epoch = Event::Epoch { key, over };
            assert_eq!(again(&epoch), epoch);
        }
        assert_eq!(again(&Event::Dropped), Event::Dropped);
        assert_eq!(of(&Event::Other), None);
        for odd in [
            doc! {},
            doc! { "epoch": "x" },
            doc! { "kind": "moon", "id": "1" },
        ] {
            assert_eq!(read(odd.into()), Event::Other);
        }
        assert_eq!(read(Bson::Int32(3)), Event::Other);
    }
}
