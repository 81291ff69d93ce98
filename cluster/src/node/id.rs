//! A node's name: given by its settings, or made up once and kept in a file beside its data.
//!
//! Streams are owned by this name, so it must be the same after a restart: otherwise a node that
//! crashed would wait out its own former self. Two nodes must not share one: copy a node's data to
//! a new machine without the file [`NODE_ID_FILE`].

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The file in the data folder, one line.
pub const NODE_ID_FILE: &str = "node-id";
/// The longest node id, bytes.
pub const NODE_ID_BYTES_MAX: usize = 64;

/// A node's id: letters, digits, `-`, `_`, `.`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(String);

/// Why there is no node id.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeIdError {
    /// The text is no node id.
    #[error(
        "node id {text:?}: 1 to {NODE_ID_BYTES_MAX} letters, digits, '-', '_' and '.' expected"
    )]
    Malformed {
        /// The text.
        text: String,
    },
    /// The file holds something else.
    #[error("{path} holds no node id; delete it to get a new one ({reason})")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What it holds.
        reason: String,
    },
    /// The file can be neither read nor made.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl NodeId {
    /// Checks `text`.
    ///
    /// # Errors
    /// [`NodeIdError::Malformed`].
    pub fn parse(text: &str) -> Result<Self, NodeIdError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if text.is_empty() || text.len() > NODE_ID_BYTES_MAX || !text.chars().all(allowed) {
            let text = text.chars().take(NODE_ID_BYTES_MAX).collect();
            return Err(NodeIdError::Malformed { text });
        }
        Ok(Self(text.to_owned()))
    }

    /// The id from the settings (`cluster.node.id`) when given, else the one kept in
    /// `data_folder`, else a new one, kept there. Blocks on the disk.
    ///
    /// # Errors
    /// [`NodeIdError`].
    pub fn load_or_make(configured: Option<&str>, data_folder: &Path) -> Result<Self, NodeIdError> {
        if let Some(text) = configured {
            return Self::parse(text);
        }
        let path = data_folder.join(NODE_ID_FILE);
        match read(&path)? {
            Some(id) => Ok(id),
            None => make(data_folder, &path),
        }
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn read(path: &Path) -> Result<Option<NodeId>, NodeIdError> {
    match fs::read(path) {
        Ok(content) => {
            let text = String::from_utf8_lossy(&content);
            NodeId::parse(text.trim_end())
                .map(Some)
                .map_err(|error| NodeIdError::Damaged {
                    path: path.to_owned(),
                    reason: error.to_string(),
                })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(NodeIdError::Io {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Writes a new id beside the file and moves it in place: the file is whole or absent, whatever
/// happens. When another process was quicker, its id is taken.
fn make(folder: &Path, path: &Path) -> Result<NodeId, NodeIdError> {
    let id = NodeId(uuid::Uuid::new_v4().to_string());
    let write = || -> io::Result<bool> {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        writeln!(file, "{id}")?;
        file.as_file().sync_all()?;
        if let Err(error) = file.persist_noclobber(path) {
            return match error.error.kind() {
                io::ErrorKind::AlreadyExists => Ok(false),
                _ => Err(error.error),
            };
        }
        fs::File::open(folder)?.sync_all()?;
        Ok(true)
    };
    let io_error = |source| NodeIdError::Io {
        path: path.to_owned(),
        source,
    };
    if write().map_err(io_error)? {
        return Ok(id);
    }
    read(path)?.ok_or_else(|| io_error(io::ErrorKind::NotFound.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_made_once_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let first = NodeId::load_or_make(None, folder.path()).unwrap();
        assert_eq!(NodeId::load_or_make(None, folder.path()).unwrap(), first);
        let files: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(files.len(), 1, "nothing left lying about");
    }

    #[test]
    fn the_settings_come_first_and_leave_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let id = NodeId::load_or_make(Some("edge-1"), folder.path()).unwrap();
        assert_eq!(id.as_str(), "edge-1");
        assert!(!folder.path().join(NODE_ID_FILE).exists());
    }

    #[test]
    fn bad_ids_and_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        for bad in ["", "a b", "é", "a/b", &"x".repeat(65)] {
            let error = NodeId::load_or_make(Some(bad), folder.path()).unwrap_err();
            assert!(matches!(error, NodeIdError::Malformed { .. }), "{bad}");
        }
        let path = folder.path().join(NODE_ID_FILE);
        fs::write(&path, b"\xff\xfe garbage").unwrap();
        let error = NodeId::load_or_make(None, folder.path()).unwrap_err();
        assert!(
            error.to_string().contains("node-id holds no node id"),
            "{error}"
        );
        let missing = folder.path().join("missing");
        let error = NodeId::load_or_make(None, &missing).unwrap_err();
        assert!(matches!(error, NodeIdError::Io { .. }), "{error}");
    }

    #[test]
    fn many_at_once_agree() {
        let folder = tempfile::tempdir().unwrap();
        let ids: Vec<NodeId> = std::thread::scope(|scope| {
            let make = || scope.spawn(|| NodeId::load_or_make(None, folder.path()).unwrap());
            let threads: Vec<_> = (0..8).map(|_| make()).collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    }
}
