//! Which names of applications can stand beside one another in one MongoDB.
//!
//! An application's records lie in databases named after it in lower case (`mongo/records.rs`), beside those of the
//! server and of the cluster. Two names that meet there would share their streams, and MongoDB refuses a database
//! whose name differs from another's in case alone. The rule holds for every store, so that an application can move.

/// What is put after an application's name to name its databases, Ant Media's older ones among them.
const ENDINGS: [&str; 6] = ["", "vod", "_token", "_subscriber", "detection", "room"];
/// Databases of the server and of the cluster.
const RESERVED: [&str; 5] = ["admin", "config", "local", "clusterdb", "serverdb"];
/// The longest name of a database, bytes.
const DATABASE_BYTES_MAX: usize = 63;

/// Why `name` cannot be beside `others`; `None` when it can.
pub(super) fn clash<'a>(name: &str, others: impl Iterator<Item = &'a str>) -> Option<String> {
    let own = databases(name);
    if own
        .iter()
        .any(|database| database.len() > DATABASE_BYTES_MAX)
    {
        let longest = ENDINGS.map(str::len).into_iter().max().unwrap_or(0);
        return Some(format!(
            "its name is longer than {} bytes",
            DATABASE_BYTES_MAX - longest
        ));
    }
    if own
        .iter()
        .any(|database| RESERVED.contains(&database.as_str()))
    {
        return Some("the store has a database of that name for itself".to_owned());
    }
    let mut others = others.filter(|other| *other != name);
    let other = others.find(|other| databases(other).iter().any(|theirs| own.contains(theirs)))?;
    Some(format!("it would share a database with {other}"))
}

fn databases(app: &str) -> [String; ENDINGS.len()] {
    let app = app.to_ascii_lowercase();
    ENDINGS.map(|ending| format!("{app}{ending}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beside(name: &str) -> Option<String> {
        clash(name, ["LiveApp", "live", "shop_token"].into_iter())
    }

    #[test]
    fn names_that_meet_in_the_database_are_told_apart_from_those_that_do_not() {
        for good in [
            "LiveApp",
            "shop2",
            "admins",
            "tokens",
            "live_app",
            &"x".repeat(52),
        ] {
            assert_eq!(beside(good), None, "{good}");
        }
        for (bad, words) in [
            ("LIVEAPP", "with LiveApp"),
            ("liveappVoD", "with LiveApp"),
            ("LiveApp_token", "with LiveApp"),
            ("Live_Subscriber", "with live"),
            ("shop", "with shop_token"),
            ("Admin", "for itself"),
            ("clusterdb", "for itself"),
            (&"x".repeat(53), "longer than 52 bytes"),
        ] {
            let said = beside(bad).unwrap_or_default();
            assert!(said.contains(words), "{bad}: {said}");
        }
    }
}
