//! The store's file: a redb database with one table a kind of record, JSON values, and a version.
//!
//! | table | key | value |
//! |---|---|---|
//! | `meta` | `schema` | the layout's version, in digits |
//! | `broadcasts` | `app/id` | a stream's record, Ant Media's field names |
//! | `timelines` | `app/id` | a stream's newest epoch ([`crate::ownership::Timeline`]) |
//! | `nodes` | node id | a node's record |
//! | `records` | `["kind","app","key"…]` | any other record ([`crate::records`]); since layout 2 |
//!
//! A record that cannot be read costs that record alone. The file is checked whole when it is
//! opened; redb may panic on what it does not expect in a damaged file, so every entry into it is
//! fenced.

use super::error::{FileError, OpenError, damaged, not_opened};
use super::table;
use super::view::{Stream, View};
use crate::names::StreamKey;
use crate::ownership::Timeline;
use crate::record::{self, Document};
use crate::records::{Fields, Place};
use crate::types::NodeRecord;
use redb::{
    Builder, Database, Durability, ReadableDatabase, ReadableTable, TableDefinition,
    WriteTransaction,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The layout this version writes.
const SCHEMA: u32 = 2;
/// Memory redb may use for pages, bytes: little, since reads are served from the records.
const PAGE_CACHE_BYTES: usize = 8 * 1024 * 1024;

type Table = TableDefinition<'static, &'static str, &'static [u8]>;
const META: Table = TableDefinition::new("meta");
const BROADCASTS: Table = TableDefinition::new("broadcasts");
const TIMELINES: Table = TableDefinition::new("timelines");
const NODES: Table = TableDefinition::new("nodes");
const RECORDS: Table = TableDefinition::new("records");
const SCHEMA_KEY: &str = "schema";

/// The file, open or given up after a failure.
pub(super) struct DataFile {
    path: PathBuf,
    database: Option<Database>,
}

impl std::fmt::Debug for DataFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let open = self.database.is_some();
        write!(f, "DataFile({}, open: {open})", self.path.display())
    }
}

impl DataFile {
    /// Opens or makes the file, and reads every record in it.
    pub(super) fn open(path: &Path) -> Result<(Self, View), OpenError> {
        let database = open_database(path)?;
        let view = fenced(|| read_all(&database)).map_err(|error| damaged(path, &error))?;
        let file = Self {
            path: path.to_owned(),
            database: Some(database),
        };
        Ok((file, view))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file again after [`DataFile::close`], without reading it.
    pub(super) fn reopen(&mut self) -> Result<(), FileError> {
        self.close();
        self.database = Some(open_database(&self.path)?);
        Ok(())
    }

    /// Gives the file up; also after a failure, when nothing can be done about errors any more.
    pub(super) fn close(&mut self) {
        if let Some(database) = self.database.take() {
            let closed = catch_unwind(AssertUnwindSafe(|| database.close()));
            if !matches!(closed, Ok(Ok(()))) {
                tracing::debug!(path = %self.path.display(), ?closed, "closing the store's file");
            }
        }
    }

    /// Makes these records what the file has, in one transaction, on stable storage on return.
    pub(super) fn write<'a>(
        &self,
        streams: impl Iterator<Item = (&'a StreamKey, Option<&'a Stream>)>,
        nodes: impl Iterator<Item = (&'a str, Option<&'a Document<NodeRecord>>)>,
        records: impl Iterator<Item = (&'a Place, Option<&'a Arc<Fields>>)>,
    ) -> Result<(), FileError> {
        let Some(database) = &self.database else {
            return Err(FileError::Other("the store's file is closed".to_owned()));
        };
        fenced(|| {
            let mut transaction = database.begin_write()?;
            transaction.set_durability(Durability::Immediate)?;
            write_all(&transaction, streams, nodes)?;
            write_records(&transaction, records)?;
            transaction.commit()?;
            Ok(())
        })
        .map_err(FileError::of)
    }
}

fn write_all<'a>(
    transaction: &WriteTransaction,
    streams: impl Iterator<Item = (&'a StreamKey, Option<&'a Stream>)>,
    nodes: impl Iterator<Item = (&'a str, Option<&'a Document<NodeRecord>>)>,
) -> Result<(), redb::Error> {
    let mut broadcasts = transaction.open_table(BROADCASTS)?;
    let mut timelines = transaction.open_table(TIMELINES)?;
    for (key, stream) in streams {
        let key = key.to_string();
        let timeline = stream.and_then(|s| s.timeline.as_ref());
        match timeline {
            Some(timeline) => drop(timelines.insert(&*key, &*json(timeline)?)?),
            None => drop(timelines.remove(&*key)?),
        }
        // A record that could not be read stays in the file as it is, for whoever can mend it.
        let record = stream.and_then(|s| s.record.as_ref());
        match record {
            Some(record) => {
                let fields = record::to_fields(record);
                broadcasts.insert(&*key, &*json(&fields)?)?;
            }
            None if stream.is_some_and(|s| s.damaged.is_some()) => {}
            None => drop(broadcasts.remove(&*key)?),
        }
    }
    let mut table = transaction.open_table(NODES)?;
    for (id, node) in nodes {
        match node {
            Some(node) => drop(table.insert(id, &*json(node)?)?),
            None => drop(table.remove(id)?),
        }
    }
    Ok(())
}

fn write_records<'a>(
    transaction: &WriteTransaction,
    records: impl Iterator<Item = (&'a Place, Option<&'a Arc<Fields>>)>,
) -> Result<(), redb::Error> {
    let mut table = transaction.open_table(RECORDS)?;
    for (place, fields) in records {
        let key = table::key_of(place);
        match fields {
            Some(fields) => drop(table.insert(&*key, &*json(&**fields)?)?),
            None => drop(table.remove(&*key)?),
        }
    }
    Ok(())
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, redb::Error> {
    serde_json::to_vec(value).map_err(|error| redb::Error::Io(error.into()))
}

fn open_database(path: &Path) -> Result<Database, OpenError> {
    let refused = |error| not_opened(path, error);
    let length_bytes = match fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(refused(error.into())),
    };
    if length_bytes == 0 {
        fenced(|| make(path)).map_err(refused)?;
    }
    let opened = fenced(|| {
        let mut builder = Builder::new();
        builder.set_check_integrity_on_open(true);
        builder.set_cache_size(PAGE_CACHE_BYTES);
        Ok(builder.open(path)?)
    });
    let database = opened.map_err(refused)?;
    let found = fenced(|| schema(&database)).map_err(refused)?;
    match found.parse::<u32>() {
        Ok(SCHEMA) => Ok(database),
        Ok(found) if (1..SCHEMA).contains(&found) => {
            fenced(|| upgrade(&database)).map_err(refused)?;
            tracing::info!(path = %path.display(), found, now = SCHEMA, "upgraded the store's file");
            Ok(database)
        }
        Ok(0) => Err(OpenError::Damaged {
            path: path.to_owned(),
            reason: "its layout's version reads 0".to_owned(),
        }),
        Ok(found) => Err(OpenError::Newer {
            path: path.to_owned(),
            found,
            known: SCHEMA,
        }),
        Err(_) => Err(OpenError::Damaged {
            path: path.to_owned(),
            reason: format!("its layout's version reads {found:?}"),
        }),
    }
}

/// Makes an empty store beside `path` and moves it there whole: a process killed while it makes a
/// database leaves something that is none.
fn make(path: &Path) -> Result<(), redb::Error> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new("."));
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned());
    let prefix = format!(".{}.new-", name.unwrap_or_default());
    for left in fs::read_dir(folder)?.flatten() {
        // Left behind by a process that was killed here.
        if left.file_name().to_string_lossy().starts_with(&prefix) {
            fs::remove_file(left.path())?;
        }
    }
    let file = tempfile::Builder::new()
        .prefix(&prefix)
        .tempfile_in(folder)?;
    let database = Builder::new().create(file.path())?;
    schema(&database)?;
    database.close()?;
    match file.persist_noclobber(path) {
        Ok(file) => file.sync_all()?,
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
            // An empty file, as `touch` makes them; or another process was quicker.
            if fs::metadata(path)?.len() == 0 {
                error.file.persist(path).map_err(|e| e.error)?;
            }
        }
        Err(error) => return Err(error.error.into()),
    }
    fs::File::open(folder)?.sync_all()?;
    Ok(())
}

/// The file's layout version; a new file gets this version's, and its tables.
fn schema(database: &Database) -> Result<String, redb::Error> {
    let reading = database.begin_read()?;
    match reading.open_table(META) {
        Ok(meta) => {
            let found = meta.get(SCHEMA_KEY)?;
            let found = found.map(|v| String::from_utf8_lossy(v.value()).into_owned());
            return Ok(found.unwrap_or_default());
        }
        Err(redb::TableError::TableDoesNotExist(_)) => {}
        Err(other) => return Err(other.into()),
    }
    let transaction = database.begin_write()?;
    for table in [BROADCASTS, TIMELINES, NODES] {
        transaction.open_table(table)?;
    }
    transaction.commit()?;
    upgrade(database)
}

/// Adds what this version's layout has beyond those before it, in one transaction; returns the
/// version.
fn upgrade(database: &Database) -> Result<String, redb::Error> {
    let transaction = database.begin_write()?;
    transaction.open_table(RECORDS)?;
    let version = SCHEMA.to_string();
    transaction
        .open_table(META)?
        .insert(SCHEMA_KEY, version.as_bytes())?;
    transaction.commit()?;
    Ok(version)
}

fn read_all(database: &Database) -> Result<View, redb::Error> {
    let mut view = View::default();
    let reading = database.begin_read()?;
    for entry in reading.open_table(BROADCASTS)?.iter()? {
        let (key, value) = entry?;
        let Some(key) = stream_key(key.value()) else {
            continue;
        };
        let mut stream = Stream::default();
        match read_json::<Fields>("broadcast", &key.to_string(), value.value()) {
            Ok(fields) => {
                let mut document = record::from_fields(fields);
                key.id.as_str().clone_into(&mut document.known.stream_id);
                stream.record = Some(Arc::new(document));
            }
            Err(reason) => stream.damaged = Some(reason.into()),
        }
        view.put_stream(&key, stream);
    }
    for entry in reading.open_table(TIMELINES)?.iter()? {
        let (key, value) = entry?;
        let Some(key) = stream_key(key.value()) else {
            continue;
        };
        if let Ok(timeline) = read_json::<Timeline>("timeline", &key.to_string(), value.value()) {
            let mut stream = view.stream(&key).cloned().unwrap_or_default();
            stream.timeline = Some(timeline);
            view.put_stream(&key, stream);
        }
    }
    for entry in reading.open_table(NODES)?.iter()? {
        let (id, value) = entry?;
        if let Ok(node) = read_json("node", id.value(), value.value()) {
            view.put_node(id.value(), Some(node));
        }
    }
    for entry in reading.open_table(RECORDS)?.iter()? {
        let (key, value) = entry?;
        let Some(place) = table::place_of(key.value()) else {
            tracing::warn!(key = key.value(), "left out a record of a kind not known");
            continue;
        };
        if let Ok(fields) = read_json::<Fields>(place.kind.name(), key.value(), value.value()) {
            view.put_record(place, Some(Arc::new(fields)));
        }
    }
    Ok(view)
}

fn stream_key(text: &str) -> Option<StreamKey> {
    let key = text
        .split_once('/')
        .and_then(|(app, id)| StreamKey::parse(app, id).ok());
    if key.is_none() {
        tracing::warn!(
            key = text,
            "left out a record of the store: its key names no stream"
        );
    }
    key
}

fn read_json<T: DeserializeOwned>(kind: &str, key: &str, value: &[u8]) -> Result<T, String> {
    serde_json::from_slice(value).map_err(|error| {
        tracing::warn!(kind, key, %error, "a record of the store cannot be read");
        error.to_string()
    })
}

/// Runs `work`; a panic in it becomes an error.
fn fenced<T>(work: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, redb::Error> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(redb::Error::Corrupted(
            text.unwrap_or("the database panicked").to_owned(),
        ))
    })
}
