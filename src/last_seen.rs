//! The cluster's nodes as a balancer last saw them, kept over its restarts.
//!
//! A balancer that starts while the store is away would know nobody, and send everybody away, while
//! all edges and origins are there. So each view that changes what matters to it (who, which role,
//! which doors, alive, draining) goes into a file in the node's data folder, and the next process
//! begins with that one, marked stale, until the store answers. Whom it names is checked like any
//! node before it gets a connection, so an old file costs nothing but checks.
//!
//! The file is replaced whole; one that cannot be read is told and done without. Limits:
//! [`FILE_BYTES_MAX`], and as many nodes as a view has.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;
use weir_cluster::{NodeRecord, NodesSeen};

/// The file's name in the data folder.
const FILE: &str = "nodes-seen.json";
/// The longest file that is read or written, bytes.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// How long the store has to show the nodes before the log says that the kept view is used.
const STORE_WAIT: Duration = Duration::from_secs(4);

/// Follows `seen`, from what the last process kept in `folder` on, and keeps what it sees there.
/// Ends with `seen`.
pub(crate) fn follow(
    folder: &Path,
    mut seen: watch::Receiver<Arc<NodesSeen>>,
) -> watch::Receiver<Arc<NodesSeen>> {
    let file = folder.join(FILE);
    let kept = load(&file).unwrap_or_else(|error| {
        tracing::warn!(file = %file.display(), %error, "the nodes last seen cannot be read");
        None
    });
    let (sender, followed) = match &kept {
        Some(kept) => watch::channel(Arc::new(kept.clone())),
        None => watch::channel(Arc::clone(&seen.borrow())),
    };
    tokio::spawn(async move {
        let shown = seen.wait_for(|view| !view.stale);
        if timeout(STORE_WAIT, shown).await.is_err() {
            tell_stale(kept.as_ref());
        }
        let mut written = kept.as_ref().map(essence);
        loop {
            let view = Arc::clone(&seen.borrow_and_update());
            // Before the store's first answer there is nothing to see in it.
            if !view.stale || !view.nodes.is_empty() {
                sender.send_replace(Arc::clone(&view));
            }
            if !view.stale && written.as_ref() != Some(&essence(&view)) {
                written = Some(essence(&view));
                write_aside(file.clone(), view).await;
            }
            if seen.changed().await.is_err() {
                return;
            }
        }
    });
    followed
}

fn tell_stale(kept: Option<&NodesSeen>) {
    match kept {
        Some(kept) => tracing::warn!(
            nodes = kept.alive().count(),
            seen_ms = kept.now_ms,
            "the store does not show the cluster's nodes: going on with those last seen (stale view)"
        ),
        None => tracing::warn!(
            "the store does not show the cluster's nodes, and none were seen before: none is used"
        ),
    }
}

/// What of a view is worth a write: all but figures and times.
fn essence(view: &NodesSeen) -> BTreeSet<String> {
    let line = |node: &NodeRecord| {
        format!(
            "{:?}",
            (
                &node.id,
                node.role,
                &node.http_address,
                &node.rtmp_address,
                node.draining,
                node.alive_at(view.now_ms)
            )
        )
    };
    view.nodes.iter().map(line).collect()
}

async fn write_aside(file: PathBuf, view: Arc<NodesSeen>) {
    let shown = file.display().to_string();
    let written = tokio::task::spawn_blocking(move || store(&file, &view)).await;
    let failed = match written {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    tracing::warn!(
        file = shown,
        error = failed,
        "the nodes seen cannot be kept for the next start"
    );
}

/// The file's content.
#[derive(Deserialize, Serialize)]
struct Kept {
    /// The time by which the nodes were judged, ms since the Unix epoch.
    now_ms: i64,
    nodes: Vec<NodeRecord>,
}

fn load(file: &Path) -> std::io::Result<Option<NodesSeen>> {
    let opened = match std::fs::File::open(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut text = Vec::new();
    opened.take(FILE_BYTES_MAX + 1).read_to_end(&mut text)?;
    too_long(text.len())?;
    let kept: Kept = serde_json::from_slice(&text)?;
    Ok(Some(NodesSeen {
        nodes: kept.nodes,
        now_ms: kept.now_ms,
        stale: true,
    }))
}

/// Beside the file and then in its place: it is whole or the old one, whatever happens.
fn store(file: &Path, view: &NodesSeen) -> std::io::Result<()> {
    let kept = Kept {
        now_ms: view.now_ms,
        nodes: view.nodes.clone(),
    };
    let text = serde_json::to_vec(&kept)?;
    too_long(text.len())?;
    let folder = file.parent().unwrap_or(Path::new("."));
    let mut aside = tempfile::NamedTempFile::new_in(folder)?;
    aside.write_all(&text)?;
    aside.as_file().sync_all()?;
    aside.persist(file).map_err(|error| error.error)?;
    std::fs::File::open(folder)?.sync_all()
}

fn too_long(len_bytes: usize) -> std::io::Result<()> {
    if u64::try_from(len_bytes).is_ok_and(|len| len <= FILE_BYTES_MAX) {
        return Ok(());
    }
    let text = format!("longer than {FILE_BYTES_MAX} bytes");
    Err(std::io::Error::new(ErrorKind::InvalidData, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_cluster::NodeRole;

    fn view(id: &str, now_ms: i64) -> NodesSeen {
        NodesSeen {
            nodes: vec![NodeRecord {
                id: id.to_owned(),
                role: NodeRole::Edge,
                last_update_time: now_ms - 1_000,
                http_address: Some("127.0.0.1:5080".to_owned()),
                ..NodeRecord::default()
            }],
            now_ms,
            stale: false,
        }
    }

    /// Waits until `followed` shows the node, and is not stale.
    async fn shows(followed: &mut watch::Receiver<Arc<NodesSeen>>, id: &str) {
        let named = |view: &Arc<NodesSeen>| !view.stale && view.nodes.iter().any(|n| n.id == id);
        let shown = timeout(Duration::from_secs(20), followed.wait_for(named)).await;
        assert!(shown.is_ok_and(|shown| shown.is_ok()), "{id} is not shown");
    }

    #[tokio::test]
    async fn the_next_process_begins_with_the_last_view() {
        let folder = tempfile::tempdir().unwrap();
        let (sender, seen) = watch::channel(Arc::new(NodesSeen::default()));
        let mut followed = follow(folder.path(), seen);
        for (id, now_ms) in [("n-1", 50_000), ("n-2", 90_000)] {
            sender.send_replace(Arc::new(view(id, now_ms)));
            shows(&mut followed, id).await;
            let file = folder.path().join(FILE);
            // A write follows the view that it keeps.
            while !std::fs::read_to_string(&file).is_ok_and(|text| text.contains(id)) {
                tokio::task::yield_now().await;
            }
        }
        drop(sender);

        let nothing = NodesSeen {
            stale: true,
            ..NodesSeen::default()
        };
        let (sender, seen) = watch::channel(Arc::new(nothing.clone()));
        let mut next = follow(folder.path(), seen);
        let begun = NodesSeen::clone(&next.borrow_and_update());
        let last = NodesSeen {
            stale: true,
            ..view("n-2", 90_000)
        };
        assert_eq!(begun, last);
        assert_eq!(begun.alive().count(), 1, "judged by the time it was seen");
        // What the store says then takes its place; that it says nothing does not.
        sender.send_replace(Arc::new(nothing));
        sender.send_replace(Arc::new(view("now", 95_000)));
        shows(&mut next, "now").await;
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_is_done_without() {
        for text in [&b"{\"now_ms\":1,\"nod"[..], b"\xff\xfe", b"[]"] {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join(FILE), text).unwrap();
            let (sender, seen) = watch::channel(Arc::new(NodesSeen::default()));
            let mut followed = follow(folder.path(), seen);
            sender.send_replace(Arc::new(view("now", 1)));
            shows(&mut followed, "now").await;
        }
    }

    #[test]
    fn figures_are_not_worth_a_write() {
        let (mut now, mut later) = (view("n", 50_000), view("n", 55_000));
        later.nodes[0].cpu = "97".to_owned();
        assert_eq!(essence(&now), essence(&later));
        now.nodes[0].draining = true;
        assert_ne!(essence(&now), essence(&later));
        // It died.
        later.nodes[0].last_update_time = 0;
        assert_ne!(essence(&view("n", 50_000)), essence(&later));
    }
}
