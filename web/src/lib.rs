//! The player page, the stream list and all they need, embedded in the binary.
//!
//! The pages are written in TypeScript under `web/pages`, bundled by `web/build.mjs` into `web/dist` (`build.rs`
//! sees to it) and embedded from there, so that a running node never asks an outside address for a script.
//! Scripts and styles carry a hash of their content in their names and never change; pages keep their names and
//! do. Texts come with a gzip twin, made at build time. Looking a file up neither allocates nor copies.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

#[derive(rust_embed::RustEmbed)]
#[folder = "dist/"]
struct Dist;

/// A file of the pages.
#[derive(Clone, Debug)]
pub struct File {
    /// The content.
    pub bytes: Cow<'static, [u8]>,
    /// The content compressed with gzip, when that makes it smaller.
    pub gzip: Option<Cow<'static, [u8]>>,
    /// Media type, with the charset of texts.
    pub content_type: &'static str,
    /// Entity tag (RFC 9110 section 8.8.3), in its quotes; the same content has the same tag in every build.
    pub etag: String,
    /// True when the name carries a hash of the content: what it names never changes.
    pub immutable: bool,
}

static FILES: LazyLock<HashMap<String, File>> = LazyLock::new(|| {
    Dist::iter()
        .filter(|path| is_served(path))
        .filter_map(|path| Some((path.to_string(), load(&path)?)))
        .collect()
});

/// The file at `path`, relative to the pages' root and without a leading slash: `play.html`, `index.html`,
/// `assets/…`. `None` for anything else; a path is a name here and is never resolved.
pub fn get(path: &str) -> Option<&'static File> {
    FILES.get(path)
}

/// The names of all files.
pub fn names() -> impl Iterator<Item = &'static str> {
    FILES.keys().map(String::as_str)
}

/// Neither the build's own files nor compressed twins have a name to viewers.
fn is_served(path: &str) -> bool {
    !path.starts_with('.') && !path.ends_with(".gz")
}

fn load(path: &str) -> Option<File> {
    let file = Dist::get(path)?;
    let gzip = Dist::get(&format!("{path}.gz"))
        .map(|twin| twin.data)
        .filter(|twin| twin.len() < file.data.len());
    Some(File {
        gzip,
        content_type: content_type(path),
        etag: etag(&file.metadata.sha256_hash()),
        immutable: is_hashed(path),
        bytes: file.data,
    })
}

/// Half of a SHA-256 tells two versions of a page apart.
fn etag(sha256: &[u8; 32]) -> String {
    let half: String = sha256[..16].iter().map(|b| format!("{b:02x}")).collect();
    format!("\"{half}\"")
}

/// `assets/NAME-HASH.EXTENSION`, with esbuild's eight-character hash in base 32.
fn is_hashed(path: &str) -> bool {
    let stem = path
        .strip_prefix("assets/")
        .and_then(|name| name.rsplit_once('.'))
        .map_or("", |(stem, _)| stem);
    stem.rsplit_once('-').is_some_and(|(_, hash)| {
        hash.len() == 8
            && hash
                .bytes()
                .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
    })
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The `assets/…` names that a page refers to.
    fn references(html: &str) -> Vec<&str> {
        html.split('"')
            .filter(|part| part.starts_with("assets/"))
            .collect()
    }

    #[test]
    fn pages_refer_only_to_files_that_are_here() {
        for page in ["play.html", "index.html"] {
            let file = get(page).unwrap();
            assert_eq!(file.content_type, "text/html; charset=utf-8");
            assert!(!file.immutable, "{page} keeps its name and changes");
            let html = std::str::from_utf8(&file.bytes).unwrap();
            assert!(!html.contains("{{"), "{page} has an unfilled place");
            let references = references(html);
            assert!(references.len() >= 3, "{references:?}");
            for path in references {
                assert!(get(path).is_some(), "{page} refers to {path}");
            }
        }
    }

    #[test]
    fn nothing_is_loaded_from_an_outside_address() {
        for page in ["play.html", "index.html"] {
            let html = std::str::from_utf8(&get(page).unwrap().bytes).unwrap();
            assert!(!html.contains("://"), "{page} names an outside address");
        }
    }

    #[test]
    fn scripts_and_styles_never_change_under_their_name() {
        let hashed: Vec<_> = names()
            .filter(|n| n.ends_with(".js") || n.ends_with(".css"))
            .collect();
        assert!(hashed.len() >= 5, "{hashed:?}");
        for name in hashed {
            assert!(get(name).unwrap().immutable, "{name}");
        }
    }

    #[test]
    fn the_player_brings_its_worker_and_its_licence() {
        let script = names().find(|n| n.starts_with("assets/play-") && n.ends_with(".js"));
        let worker = names()
            .find(|n| n.starts_with("assets/hls-worker-"))
            .unwrap();
        let script = &get(script.unwrap()).unwrap().bytes;
        let script = std::str::from_utf8(script).unwrap();
        assert!(script.contains(worker));
        let licences = &get("assets/licenses.txt").unwrap().bytes;
        assert!(
            std::str::from_utf8(licences)
                .unwrap()
                .contains("Apache License")
        );
    }

    #[test]
    fn tags_are_quoted_and_differ() {
        let (a, b) = (get("play.html").unwrap(), get("index.html").unwrap());
        assert_ne!(a.etag, b.etag);
        assert!(a.etag.starts_with('"') && a.etag.ends_with('"') && a.etag.len() == 34);
    }

    #[test]
    fn twins_are_smaller_and_are_gzip() {
        let script = names().find(|n| n.starts_with("assets/play-") && n.ends_with(".js"));
        let script = get(script.unwrap()).unwrap();
        let gzip = script.gzip.as_ref().unwrap();
        assert!(gzip.len() < script.bytes.len() / 2);
        assert_eq!(gzip[..2], [0x1f, 0x8b]);
    }

    #[test]
    fn what_is_not_a_page_is_not_served() {
        for path in [
            "",
            ".sources",
            "/play.html",
            "../Cargo.toml",
            "assets",
            "assets/",
            "play.html.gz",
        ] {
            assert!(get(path).is_none(), "{path:?}");
        }
    }
}
