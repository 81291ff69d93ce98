//! A viewer: one stream, watched as a player does until the run ends.
//!
//! Multivariant playlist, then the media playlists of one variant and its audio; each is loaded
//! again a target duration after it changed and half of one after it did not (RFC 8216bis §6.3.4);
//! each new segment is fetched once, in order. One task and one connection a viewer, so a slow
//! answer delays what comes after it, as on a slow line.
//!
//! A stream that is published and does not play is asked for each [`AGAIN`] until the start
//! timeout, which is no error: it needs its first segment. Then it is one, once, and asking goes
//! on each [`AGAIN_LATE`]. A playlist that ended sends the viewer back to the start.

mod http;
mod judge;
mod playlist;
mod shared;
mod timing;

pub(crate) use shared::SharedStream;

use crate::fault::{Fault, Kind};
use crate::tally::Tally;
use ::http::{HeaderValue, StatusCode};
use http::{Answer, Client};
use judge::Judge;
use playlist::{Entry, List};
use shared::SharedTrack;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use timing::Init;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use url::Url;

/// Wait before a stream that does not play yet is asked for again.
const AGAIN: Duration = Duration::from_millis(500);
/// That wait once it is an error.
const AGAIN_LATE: Duration = Duration::from_secs(2);
/// Shortest wait between two loads of a playlist.
const RELOAD_MIN: Duration = Duration::from_millis(500);

/// What viewers of all streams have in common.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) addresses: Arc<[SocketAddr]>,
    pub(crate) host: HeaderValue,
    pub(crate) tally: Arc<Tally>,
    pub(crate) playlist_only: bool,
    /// Time for each request.
    pub(crate) timeout: Duration,
    /// Time from a published stream to one that plays.
    pub(crate) start_timeout: Duration,
    /// Whether this process publishes the streams, so that none may end.
    pub(crate) published_here: bool,
}

/// One viewer.
pub(crate) struct Viewer {
    pub(crate) room: Arc<Room>,
    /// Counted from 0 over all viewers; chooses the variant.
    pub(crate) number: u64,
    pub(crate) stream: String,
    pub(crate) multivariant: Url,
    pub(crate) shared: Arc<SharedStream>,
    /// Whether the stream has been published.
    pub(crate) live: watch::Receiver<bool>,
    /// Wait from then to the first request.
    pub(crate) delay: Duration,
}

/// A media playlist being watched.
struct Track {
    url: Url,
    shared: Arc<SharedTrack>,
    judge: Judge,
    /// When it is loaded next.
    due: Instant,
    init: Option<(String, Option<Init>)>,
    ended: bool,
}

/// A viewer at work.
struct Watching {
    viewer: Viewer,
    client: Client,
    /// When the first request was made.
    began: Instant,
    played: bool,
    told_late: bool,
}

impl Viewer {
    /// Watches until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let room = Arc::clone(&self.room);
        let delay = self.delay;
        let published = async {
            // The publisher keeps its end as long as the run lasts.
            let _ = self.live.wait_for(|live| *live).await;
            sleep(delay).await;
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = published => {}
        }
        room.tally.viewers_started.add(1);
        let client = Client::new(
            Arc::clone(&room.addresses),
            room.host.clone(),
            room.timeout,
            Arc::clone(&room.tally),
        );
        let mut watching = Watching {
            viewer: self,
            client,
            began: Instant::now(),
            played: false,
            told_late: false,
        };
        tokio::select! {
            () = stop.cancelled() => watching.judge_the_end(),
            () = watching.watch() => {}
        }
    }
}

impl Watching {
    async fn watch(&mut self) {
        loop {
            let tracks = self.start().await;
            self.follow(tracks).await;
            if !self.viewer.room.published_here {
                return;
            }
            sleep(AGAIN_LATE).await;
        }
    }

    /// Asks for the multivariant playlist until there is one.
    async fn start(&mut self) -> Vec<Track> {
        let asked = Instant::now();
        let mut told_late = false;
        loop {
            let url = self.viewer.multivariant.clone();
            match self.client.get(&url).await {
                Ok(answer) if answer.status == StatusCode::OK => {
                    self.tally().multivariant.add(1);
                    self.tally().playlist_latency.record(answer.taken);
                    let text = answer.body.joined();
                    match playlist::choose(&url, &text, self.viewer.number) {
                        Ok(urls) => return self.tracks(urls),
                        Err(text) => self.fault(&url, Fault::new(Kind::PlaylistUnreadable, text)),
                    }
                }
                Ok(answer) if not_yet(answer.status) => {
                    let waited = asked.elapsed();
                    if waited > self.viewer.room.start_timeout && !told_late {
                        told_late = true;
                        self.late(waited, answer.status);
                    }
                }
                Ok(answer) => self.fault(&url, status(Kind::PlaylistStatus, &answer)),
                Err(fault) => self.fault(&url, fault),
            }
            sleep(if told_late { AGAIN_LATE } else { AGAIN }).await;
        }
    }

    fn tracks(&self, urls: Vec<Url>) -> Vec<Track> {
        let now = Instant::now();
        let track = |url: Url| Track {
            shared: self.viewer.shared.track(url.as_str()),
            url,
            judge: Judge::default(),
            due: now,
            init: None,
            ended: false,
        };
        urls.into_iter().map(track).collect()
    }

    /// Loads playlists as they are due until all have ended.
    async fn follow(&mut self, mut tracks: Vec<Track>) {
        loop {
            let next = tracks.iter_mut().filter(|track| !track.ended);
            let Some(track) = next.min_by_key(|track| track.due) else {
                return;
            };
            sleep_until(track.due).await;
            let loaded = Instant::now();
            let changed = self.load(track).await;
            let target = track.judge.target();
            let wait = if changed { target } else { target / 2 };
            track.due = loaded + wait.max(RELOAD_MIN);
        }
    }

    /// Loads a media playlist and what is new in it; gives whether anything was.
    async fn load(&mut self, track: &mut Track) -> bool {
        let loaded = match self.list(track).await {
            Ok(list) => list,
            Err(fault) => {
                self.fault(&track.url, fault);
                None
            }
        };
        let Some(list) = loaded else {
            if let Some(fault) = track.judge.waited(self.tally().elapsed()) {
                self.fault(&track.url, fault);
            }
            return false;
        };
        let verdict = track.judge.list(&list, self.tally().elapsed());
        for fault in verdict.faults {
            self.fault(&track.url, fault);
        }
        let fresh = list.entries.get(verdict.new_from..).unwrap_or_default();
        if self.viewer.room.playlist_only {
            self.played_if(!fresh.is_empty());
        } else {
            for entry in fresh.iter().filter(|entry| !entry.gap) {
                self.segment(track, entry).await;
            }
        }
        if list.ended && !track.ended {
            track.ended = true;
            if self.viewer.room.published_here {
                let text = "EXT-X-ENDLIST while it is being published";
                self.fault(&track.url, Fault::new(Kind::EndedEarly, text));
            }
        }
        verdict.changed
    }

    /// A media playlist; `None` while one of a stream that has just begun is not there yet.
    async fn list(&mut self, track: &Track) -> Result<Option<Arc<List>>, Fault> {
        let answer = self.client.get(&track.url).await?;
        if answer.status != StatusCode::OK {
            let early = self.began.elapsed() < self.viewer.room.start_timeout;
            if !self.played && early && not_yet(answer.status) {
                return Ok(None);
            }
            return Err(status(Kind::PlaylistStatus, &answer));
        }
        self.tally().playlists.add(1);
        self.tally().playlist_latency.record(answer.taken);
        track.shared.list(&answer.body).map(Some)
    }

    /// Fetches a segment, and its initialization section if it is another one than before.
    async fn segment(&mut self, track: &mut Track, entry: &Entry) {
        if let Some(map) = &entry.map_uri
            && track.init.as_ref().is_none_or(|(known, _)| known != map)
        {
            let init = self.init(track, map).await;
            track.init = Some((map.clone(), init));
        }
        let Some((url, answer)) = self.file(track, &entry.uri).await else {
            return;
        };
        self.tally().segments.add(1);
        self.tally().segment_latency.record(answer.taken);
        self.played_if(true);
        // Files without an initialization section (MPEG-TS) are not looked into.
        let Some((_, Some(init))) = track.init.as_ref().filter(|_| entry.map_uri.is_some()) else {
            return;
        };
        match track.shared.segment(url.as_str(), &answer.body, *init) {
            Ok(timing) => {
                self.tally().segments_timed.add(1);
                for fault in track.judge.segment(entry, timing) {
                    self.fault(&url, fault);
                }
            }
            Err(fault) => self.fault(&url, fault),
        }
    }

    async fn init(&mut self, track: &Track, uri: &str) -> Option<Init> {
        let (url, answer) = self.file(track, uri).await?;
        self.tally().inits.add(1);
        let found = track.shared.init(url.as_str(), &answer.body);
        found.map_err(|fault| self.fault(&url, fault)).ok()
    }

    /// A file that a playlist names; what is wrong with it is told.
    async fn file(&mut self, track: &Track, uri: &str) -> Option<(Url, Answer)> {
        let url = match track.url.join(uri) {
            Ok(url) if url.origin() == track.url.origin() => url,
            Ok(url) => {
                let text = format!("{url} is on another host, which is not followed");
                self.fault(&track.url, Fault::new(Kind::PlaylistUnreadable, text));
                return None;
            }
            Err(error) => {
                let text = format!("URI {uri:?}: {error}");
                self.fault(&track.url, Fault::new(Kind::PlaylistUnreadable, text));
                return None;
            }
        };
        match self.client.get(&url).await {
            Ok(answer) if answer.status == StatusCode::OK => Some((url, answer)),
            Ok(answer) => {
                self.fault(&url, status(Kind::SegmentStatus, &answer));
                None
            }
            Err(fault) => {
                self.fault(&url, fault);
                None
            }
        }
    }

    /// Counts the viewer as playing, the first time something came.
    fn played_if(&mut self, came: bool) {
        if came && !self.played {
            self.played = true;
            self.tally().viewers_played.add(1);
            self.tally().startup_latency.record(self.began.elapsed());
        }
    }

    /// A run that ends before the start timeout still tells of viewers that waited long.
    fn judge_the_end(&self) {
        let waited = self.began.elapsed();
        if !self.played && !self.told_late && waited > self.viewer.room.start_timeout / 2 {
            let text = format!(
                "nothing to play after {:.1} s, when the run ended",
                waited.as_secs_f64()
            );
            self.fault(
                &self.viewer.multivariant,
                Fault::new(Kind::NeverPlayed, text),
            );
        }
    }

    fn late(&mut self, waited: Duration, status: StatusCode) {
        self.told_late = true;
        let text = format!("{status} for {:.1} s", waited.as_secs_f64());
        self.fault(
            &self.viewer.multivariant,
            Fault::new(Kind::NeverPlayed, text),
        );
    }

    fn fault(&self, url: &Url, fault: Fault) {
        self.tally().fault(&self.viewer.stream, url.as_str(), fault);
    }

    fn tally(&self) -> &Tally {
        &self.viewer.room.tally
    }
}

/// Answers of a stream that has no segment yet.
fn not_yet(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::NOT_FOUND | StatusCode::SERVICE_UNAVAILABLE
    )
}

fn status(kind: Kind, answer: &Answer) -> Fault {
    Fault::new(kind, format!("status {}, expected 200", answer.status))
}
