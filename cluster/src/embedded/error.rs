//! What can be wrong with the store's file, in words for whoever runs the node.

use crate::store::StoreError;
use std::io;
use std::path::{Path, PathBuf};

/// Why the store's file could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process, or another store of this one, has it.
    #[error("another weir uses {path}; one process a store file")]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file or its folder may not be written.
    #[error("{path} cannot be written: {source}")]
    NotWritable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No room on the disk.
    #[error("the disk is full, {path} cannot be opened for writing: {source}")]
    DiskFull {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is not a store, or not a whole one.
    #[error(
        "{path} is damaged, or not a store: {reason}; move it away to start with an empty store"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Written by a newer version.
    #[error("{path} was written by a newer weir (layout {found}; this one knows {known})")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its layout.
        found: u32,
        /// The newest layout this version knows.
        known: u32,
    },
    /// Anything else the system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Why the open file could not be written.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum FileError {
    #[error("no space left: {0}")]
    Full(String),
    #[error("{0}")]
    Other(String),
}

impl FileError {
    /// The error a caller of `operation` sees.
    pub(super) fn during(&self, operation: &'static str) -> StoreError {
        match self {
            Self::Full(reason) => StoreError::DiskFull {
                operation,
                reason: reason.clone(),
            },
            Self::Other(reason) => StoreError::Unavailable {
                operation,
                reason: reason.clone(),
            },
        }
    }

    pub(super) fn of(error: redb::Error) -> Self {
        match error {
            redb::Error::Io(source) if is_full(&source) => Self::Full(source.to_string()),
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<OpenError> for FileError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::DiskFull { .. } => Self::Full(error.to_string()),
            other => Self::Other(other.to_string()),
        }
    }
}

/// The error of opening `path`.
pub(super) fn not_opened(path: &Path, error: redb::Error) -> OpenError {
    let path = path.to_owned();
    match error {
        redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => {
            OpenError::InUse { path }
        }
        redb::Error::Io(source) if is_full(&source) => OpenError::DiskFull { path, source },
        redb::Error::Io(source) => match source.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                OpenError::NotWritable { path, source }
            }
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => OpenError::Damaged {
                path,
                reason: source.to_string(),
            },
            _ => OpenError::Io { path, source },
        },
        other => damaged(&path, &other),
    }
}

/// The error of a file with something wrong in it.
pub(super) fn damaged(path: &Path, error: &redb::Error) -> OpenError {
    OpenError::Damaged {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}
