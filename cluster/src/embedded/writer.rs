//! The thread that owns the file: takes calls from the queue, makes them durable together, then
//! visible, then answers.
//!
//! When the file cannot be written, calls that must be durable are refused and change nothing;
//! all others go on in memory. What the file does not have is kept as a list of keys, so that it
//! can be brought up to date once it can be written again, whatever the failed attempts left in
//! it.

use super::error::FileError;
use super::file::DataFile;
use super::ops::{self, Op, Outcome};
use super::view::{Changed, Shared, Stage};
use super::{BATCH_MAX, FLUSH_PERIOD, PRUNE_PERIOD, REOPEN_PERIOD};
use crate::clock::WallClock;
use crate::names::StreamKey;
use crate::records::Place;
use crate::store::StoreError;
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval};

/// A call and where its answer goes.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) op: Op,
    pub(super) reply: oneshot::Sender<Result<Outcome, StoreError>>,
}

/// The thread's state.
#[derive(Debug)]
pub(super) struct Writer {
    file: DataFile,
    shared: Arc<Shared>,
    clock: Arc<dyn WallClock>,
    unwritten: Unwritten,
    /// Why the file was given up, and when.
    failed: Option<(FileError, Instant)>,
}

/// What the memory has and the file may not.
#[derive(Debug, Default)]
struct Unwritten {
    streams: BTreeSet<StreamKey>,
    nodes: BTreeSet<String>,
    records: BTreeSet<Place>,
}

impl Unwritten {
    fn is_empty(&self) -> bool {
        self.streams.is_empty() && self.nodes.is_empty() && self.records.is_empty()
    }

    fn add(&mut self, changed: &Changed) {
        self.streams.extend(changed.streams.keys().cloned());
        self.nodes.extend(changed.nodes.keys().cloned());
        self.records.extend(changed.records.keys().cloned());
    }
}

impl Writer {
    pub(super) fn new(file: DataFile, shared: Arc<Shared>, clock: Arc<dyn WallClock>) -> Self {
        Self {
            file,
            shared,
            clock,
            unwritten: Unwritten::default(),
            failed: None,
        }
    }

    pub(super) fn spawn(mut self, mut jobs: mpsc::Receiver<Job>) -> io::Result<JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()?;
        std::thread::Builder::new()
            .name("weir-store".to_owned())
            .spawn(move || runtime.block_on(self.run(&mut jobs)))
    }

    async fn run(&mut self, jobs: &mut mpsc::Receiver<Job>) {
        let mut flush = interval(FLUSH_PERIOD);
        flush.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut prune = interval(PRUNE_PERIOD);
        prune.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Vec::with_capacity(BATCH_MAX);
        loop {
            tokio::select! {
                taken = jobs.recv_many(&mut batch, BATCH_MAX) => {
                    if taken == 0 {
                        break;
                    }
                    self.run_batch(&mut batch);
                }
                _ = flush.tick() => self.flush(),
                _ = prune.tick() => self.prune(),
            }
        }
        self.flush();
        self.file.close();
    }

    fn run_batch(&mut self, batch: &mut Vec<Job>) {
        let now_ms = self.clock.now_ms();
        let (changed, results) = stage_all(&self.shared, batch, now_ms);
        let asked = |job: &Job| job.op.is_durable() && !changed.is_empty();
        let durable = batch.iter().zip(&results);
        let durable = durable.filter(|(_, result)| result.is_ok());
        let durable = durable.map(|(job, _)| job);
        let written = if durable
            .into_iter()
            .any(|job| asked(job) || job.op.is_flush())
        {
            self.commit(&changed)
        } else {
            self.unwritten.add(&changed);
            Ok(())
        };
        let results = match written {
            Ok(()) => {
                self.shared.apply(changed);
                results
            }
            Err(error) => {
                // The file may or may not hold what could not be confirmed: the memory decides.
                self.unwritten.add(&changed);
                self.run_in_memory(batch, results, &error, now_ms)
            }
        };
        for (job, result) in batch.drain(..).zip(results) {
            // The caller may have gone; its call is done all the same.
            let _ = job.reply.send(result);
        }
    }

    /// Carries out again what needs no file, and refuses what would have been done.
    fn run_in_memory(
        &mut self,
        batch: &[Job],
        refused: Vec<Result<Outcome, StoreError>>,
        error: &FileError,
        now_ms: i64,
    ) -> Vec<Result<Outcome, StoreError>> {
        let view = self.shared.read();
        let mut stage = Stage::over(&view);
        let results = batch
            .iter()
            .zip(refused)
            .map(|(job, result)| {
                if !job.op.is_durable() {
                    job.op.run(&mut stage, now_ms)
                } else if result.is_ok() {
                    Err(error.during(job.op.name()))
                } else {
                    result
                }
            })
            .collect();
        let changed = stage.into_changed();
        drop(view);
        self.unwritten.add(&changed);
        self.shared.apply(changed);
        results
    }

    fn flush(&mut self) {
        if !self.unwritten.is_empty() {
            // The failure is remembered, logged and shown by `commit`; the next period tries again.
            let _ = self.commit(&Changed::default());
        }
    }

    fn prune(&mut self) {
        let now_ms = self.clock.now_ms();
        let view = self.shared.read();
        let mut stage = Stage::over(&view);
        let count = ops::prune(&mut stage, now_ms);
        let changed = stage.into_changed();
        drop(view);
        if count > 0 {
            tracing::debug!(count, "forgot old timelines");
            self.unwritten.add(&changed);
            self.shared.apply(changed);
        }
    }

    /// Writes `changed`, which is not visible yet, and everything the file lacks.
    fn commit(&mut self, changed: &Changed) -> Result<(), FileError> {
        if let Some((error, since)) = &self.failed {
            if since.elapsed() < REOPEN_PERIOD {
                return Err(error.clone());
            }
            self.file.reopen().map_err(|error| self.fail(error))?;
        }
        let written = {
            let view = self.shared.read();
            let streams = self.unwritten.streams.iter();
            let old_streams = streams
                .filter(|key| !changed.streams.contains_key(key))
                .map(|key| (key, view.stream(key)));
            let new_streams = changed.streams.iter().map(|(key, new)| (key, Some(new)));
            let nodes = self.unwritten.nodes.iter();
            let old_nodes = nodes
                .filter(|id| !changed.nodes.contains_key(*id))
                .map(|id| (id.as_str(), view.node(id)));
            let new_nodes = changed.nodes.iter();
            let new_nodes = new_nodes.map(|(id, new)| (id.as_str(), new.as_ref()));
            let records = self.unwritten.records.iter();
            let old_records = records
                .filter(|place| !changed.records.contains_key(place))
                .map(|place| (place, view.records().get(place)));
            let new_records = changed.records.iter();
            let new_records = new_records.map(|(place, new)| (place, new.as_ref()));
            self.file.write(
                old_streams.chain(new_streams),
                old_nodes.chain(new_nodes),
                old_records.chain(new_records),
            )
        };
        written.map_err(|error| self.fail(error))?;
        self.unwritten = Unwritten::default();
        if self.failed.take().is_some() {
            tracing::info!(path = %self.file.path().display(), "the store writes to its file again");
            self.shared.set_degraded(None);
        }
        Ok(())
    }

    fn fail(&mut self, error: FileError) -> FileError {
        if self.failed.is_none() {
            tracing::error!(
                path = %self.file.path().display(),
                %error,
                "the store cannot write to its file; it goes on in memory and tries again"
            );
        }
        self.file.close();
        self.shared.set_degraded(Some(error.to_string()));
        self.failed = Some((error.clone(), Instant::now()));
        error
    }
}

fn stage_all(
    shared: &Shared,
    batch: &[Job],
    now_ms: i64,
) -> (Changed, Vec<Result<Outcome, StoreError>>) {
    let view = shared.read();
    let mut stage = Stage::over(&view);
    let results = batch
        .iter()
        .map(|job| job.op.run(&mut stage, now_ms))
        .collect();
    (stage.into_changed(), results)
}
