//! "Did you mean": the known name nearest to one that is not known.

/// The candidate nearest to `name`, when it is near enough to be what was meant: `hls.tme`,
/// `HLS_TIME` and `hlsTiem` are near `hls.time`, `foo` is not. Of several equally near ones the
/// first.
pub(super) fn nearest<S: AsRef<str>>(name: &str, known: impl Iterator<Item = S>) -> Option<S> {
    const NAME_BYTES_MAX: usize = 100;
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let plain_name = plain(name);
    let near_enough = (plain_name.chars().count() / 4).max(1);
    known
        .map(|key| (strsim::osa_distance(&plain_name, &plain(key.as_ref())), key))
        .filter(|(distance, _)| *distance <= near_enough)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, key)| key)
}

/// Case and the marks between words do not count.
fn plain(name: &str) -> String {
    name.chars()
        .filter(|c| !matches!(c, '.' | '_' | '-'))
        .map(|c| c.to_ascii_lowercase())
        .collect()
}
