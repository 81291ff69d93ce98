//! The applications as the origin sees them: their settings at each publish, their end at once.

use std::sync::Arc;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;
use weir_cluster::AppName;
use weir_cluster::apps::{AppEvent, Apps};
use weir_origin::{AppOptions, AppSource, Origin};

/// [`Apps`] for an origin.
#[derive(Debug)]
pub(crate) struct OriginApps(pub(crate) Apps);

impl AppSource for OriginApps {
    fn options(&self, app: &AppName) -> Option<AppOptions> {
        let state = self.0.get(app)?;
        let segments = state.settings.hls_list_size();
        Some(AppOptions {
            segment_duration_ms: u32::try_from(state.settings.hls_time_ms()).unwrap_or(u32::MAX),
            playlist_segments: usize::try_from(segments).unwrap_or(1),
        })
    }
}

/// Ends the streams of applications that are deleted, until `stop`.
pub(crate) async fn end_deleted(apps: Apps, origin: Arc<Origin>, stop: CancellationToken) {
    let mut events = apps.subscribe();
    loop {
        let event = tokio::select! {
            () = stop.cancelled() => return,
            event = events.recv() => event,
        };
        match event {
            Ok(AppEvent::Deleted(app)) => origin.end_app(&app.name),
            Ok(_) => {}
            // Of what was missed, the deleted ones are gone from the list.
            Err(RecvError::Lagged(_)) => {
                origin.end_apps_but(|app| apps.get(app).is_some());
            }
            Err(RecvError::Closed) => return,
        }
    }
}
