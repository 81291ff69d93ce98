//! The owner's hands on its media: from the publisher's door to the window.

use std::sync::Arc;

use super::{Event, Owner};
use crate::ingest::{Closed, PublishEvent};
use crate::stream::packager::PackageError;

impl Owner {
    /// Takes what is in the batch.
    pub(super) fn media(&mut self) {
        let now_ms = self.now_ms();
        if let Some(publisher) = self.publisher.as_mut() {
            publisher.heard_ms = now_ms;
        }
        let mut batch = std::mem::take(&mut self.batch);
        let (mut frames, mut bytes) = (0_u64, 0_usize);
        for event in batch.drain(..) {
            let Some(packager) = self.packager.as_mut() else {
                break;
            };
            let cut = match event {
                PublishEvent::Params(params) => {
                    if let Some(record) = self.record.as_mut() {
                        record.params(&params);
                    }
                    packager.set_params(params);
                    Ok(0)
                }
                PublishEvent::Frame(frame) => {
                    frames += 1;
                    bytes = bytes.saturating_add(frame.data.len());
                    packager.push(frame, &mut self.window, &*self.context.clock)
                }
                PublishEvent::Unpublish => {
                    self.log_left("publisher done");
                    self.dispatch(Event::Unpublish);
                    break;
                }
            };
            if !self.media_started && packager.started() {
                self.media_started = true;
                self.dispatch(Event::MediaStarted);
            }
            match cut {
                Ok(0) => {}
                Ok(segments) => self.segments_cut(segments),
                Err(error) => {
                    self.media_refused(&error);
                    break;
                }
            }
        }
        self.batch = batch;
        let metrics = &self.context.metrics;
        metrics.frames.inc_by(frames);
        metrics
            .received_bytes
            .inc_by(u64::try_from(bytes).unwrap_or(u64::MAX));
        if let Some(record) = self.record.as_mut() {
            record.received(bytes);
        }
    }

    /// The publisher is gone: cuts what it left open.
    pub(super) fn finish_segment(&mut self) -> Option<Event> {
        self.drop_publisher();
        let packager = self.packager.take()?;
        self.context
            .metrics
            .frames_lost
            .inc_by(packager.lost_frames());
        tracing::debug!(
            app = %self.key.app, stream = %self.key.id, stats = ?packager.stats(),
            "what happened to the frames"
        );
        match packager.finish(&mut self.window) {
            Ok(0) => None,
            Ok(segments) => {
                self.count_segments(segments);
                Some(Event::SegmentCut)
            }
            Err(error) => {
                tracing::warn!(
                    app = %self.key.app, stream = %self.key.id, %error,
                    "what was open could not be cut into a last segment"
                );
                None
            }
        }
    }

    pub(super) fn log_left(&self, how: &'static str) {
        if let Some(publisher) = &self.publisher {
            tracing::info!(
                peer = %publisher.peer, app = %self.key.app, stream = %self.key.id, "{how}"
            );
        }
    }

    /// Makes the session go: its next send fails.
    pub(super) fn close_publisher(&mut self, reason: Closed) {
        if let Some(publisher) = &self.publisher {
            publisher.farewell.say(reason);
            tracing::warn!(
                peer = %publisher.peer, app = %self.key.app, stream = %self.key.id,
                reason = reason.label(), "publisher closed"
            );
            let closed = &self.context.metrics.publishers_closed;
            closed.with_label_values(&[reason.label()]).inc();
        }
        self.drop_publisher();
    }

    pub(super) fn drop_publisher(&mut self) {
        if self.publisher.take().is_some() {
            self.context.metrics.publishers.dec();
        }
    }

    /// Puts the window as it is now where requests find it.
    pub(super) fn show(&mut self) {
        self.handle.snapshot.store(Arc::new(self.window.snapshot()));
        let bytes = i64::try_from(self.window.bytes()).unwrap_or(i64::MAX);
        let grown = bytes.saturating_sub(self.window_bytes);
        self.context.metrics.window_bytes.add(grown);
        self.window_bytes = bytes;
    }

    fn segments_cut(&mut self, segments: u64) {
        self.count_segments(segments);
        self.dispatch(Event::SegmentCut);
    }

    fn count_segments(&mut self, segments: u64) {
        self.context.metrics.segments.inc_by(segments);
        if let Some(record) = self.record.as_mut() {
            record.live();
        }
        self.show();
    }

    fn media_refused(&mut self, error: &PackageError) {
        let peer = self
            .publisher
            .as_ref()
            .map(|p| tracing::field::display(p.peer));
        tracing::warn!(
            peer, app = %self.key.app, stream = %self.key.id, %error,
            "media cannot be packaged"
        );
        self.dispatch(Event::MediaRefused);
    }
}
