//! Who has a stream, for upstreams with `cluster … prefer=owner`: WHIP and REST of a live stream
//! are best asked of the node that has it.
//!
//! The question goes to the cluster's [`Directory`], as an edge's does: known streams are answered
//! from memory, an unknown one costs one query that all who ask share. Who has no answer lets the
//! upstream's method choose, and the node chosen carries the request to the owner itself: nothing
//! fails for want of an answer.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use weir_cluster::{Directory, StreamKey};

/// The directory, once there is one. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct StreamOwners(Arc<ArcSwapOption<Directory>>);

impl StreamOwners {
    /// Asks this directory from now on; `None` asks nobody.
    pub fn ask(&self, directory: Option<Directory>) {
        self.0.store(directory.map(Arc::new));
    }

    /// The HTTP address of the node that has a stream.
    pub(crate) async fn of(&self, stream: &StreamKey) -> Option<Arc<str>> {
        let directory = self.0.load_full()?;
        let located = directory.locate(stream).await.ok().flatten()?;
        Some(located.origin_adress)
    }
}

/// The stream that a path names: `/APP/whip/ID…`, `/APP/whep/ID…`,
/// `/APP/rest/v2/broadcasts/ID…`, `/APP/streams/ID.m3u8` and `/APP/streams/ID/…`.
pub(crate) fn stream_of(path: &[u8]) -> Option<StreamKey> {
    let path = std::str::from_utf8(path).ok()?;
    let mut parts = path.strip_prefix('/')?.split('/');
    let app = parts.next()?;
    let id = match parts.next()? {
        "whip" | "whep" => parts.next()?,
        "rest" => {
            let known = parts.next()? == "v2" && parts.next()? == "broadcasts";
            parts.next().filter(|_| known)?
        }
        "streams" => {
            let file = parts.next()?;
            match file.strip_suffix(".m3u8") {
                Some(id) => id,
                // A file of the folder itself belongs to nobody known.
                None => parts.next().map(|_| file)?,
            }
        }
        _ => return None,
    };
    StreamKey::parse(app, id).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_name_a_stream() {
        for path in [
            "/LiveApp/whip/cam-1",
            "/LiveApp/whip/cam-1/etag",
            "/LiveApp/whep/cam-1",
            "/LiveApp/rest/v2/broadcasts/cam-1",
            "/LiveApp/rest/v2/broadcasts/cam-1/stop",
            "/LiveApp/streams/cam-1.m3u8",
            "/LiveApp/streams/cam-1/video.m3u8",
        ] {
            let stream = stream_of(path.as_bytes()).map(|it| it.to_string());
            assert_eq!(stream.as_deref(), Some("LiveApp/cam-1"), "{path}");
        }
        for path in [
            "",
            "/",
            "/LiveApp",
            "/LiveApp/whip",
            "/LiveApp/whip/",
            "/LiveApp/whip/a__b",
            "/Live App/whip/a",
            "/rest/v2/applications",
            "/LiveApp/rest/v2/broadcasts",
            "/LiveApp/rest/v3/broadcasts/a",
            "/LiveApp/streams/a.ts",
            "/LiveApp/play.html",
        ] {
            assert_eq!(stream_of(path.as_bytes()), None, "{path}");
        }
        assert_eq!(stream_of(b"/LiveApp/whip/\xff"), None);
    }
}
