//! A plain HLS client: reads playlists, follows a live one, keeps every segment it lists.

use super::{Answer, request, wait_within};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// One listed segment.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Media sequence number.
    pub sequence: u64,
    /// Absolute URL.
    pub url: String,
    /// Absolute URL of its initialization section.
    pub init_url: String,
    /// EXTINF, seconds.
    pub duration_s: f64,
    /// Whether EXT-X-DISCONTINUITY stands before it.
    pub discontinuity: bool,
    /// Whether EXT-X-GAP does: there is nothing to fetch.
    pub gap: bool,
    /// EXT-X-PROGRAM-DATE-TIME, as written.
    pub date_time: String,
}

/// A media playlist.
#[derive(Clone, Debug, Default)]
pub struct MediaList {
    /// EXT-X-TARGETDURATION, seconds.
    pub target_duration_s: u64,
    /// EXT-X-DISCONTINUITY-SEQUENCE.
    pub discontinuity_sequence: u64,
    /// What it lists.
    pub entries: Vec<Entry>,
    /// Whether it says EXT-X-ENDLIST.
    pub ended: bool,
}

impl MediaList {
    /// Reads a playlist found at `url`.
    pub fn parse(url: &str, text: &str) -> Self {
        assert!(text.starts_with("#EXTM3U"), "no playlist at {url}: {text}");
        let mut list = Self::default();
        let (mut sequence, mut init_url, mut duration_s) = (0, String::new(), 0.0);
        let (mut discontinuity, mut gap, mut date_time) = (false, false, String::new());
        for line in text.lines() {
            let value = |tag: &str| line.strip_prefix(tag).map(str::to_owned);
            if let Some(v) = value("#EXT-X-TARGETDURATION:") {
                list.target_duration_s = v.parse().unwrap();
            } else if let Some(v) = value("#EXT-X-MEDIA-SEQUENCE:") {
                sequence = v.parse().unwrap();
            } else if let Some(v) = value("#EXT-X-DISCONTINUITY-SEQUENCE:") {
                list.discontinuity_sequence = v.parse().unwrap();
            } else if line == "#EXT-X-DISCONTINUITY" {
                discontinuity = true;
            } else if line == "#EXT-X-GAP" {
                gap = true;
            } else if let Some(v) = value("#EXT-X-PROGRAM-DATE-TIME:") {
                date_time = v;
            } else if let Some(v) = value("#EXT-X-MAP:URI=\"") {
                init_url = join(url, v.split('"').next().unwrap());
            } else if let Some(v) = value("#EXTINF:") {
                duration_s = v.trim_end_matches(',').parse().unwrap();
            } else if line == "#EXT-X-ENDLIST" {
                list.ended = true;
            } else if !line.is_empty() && !line.starts_with('#') {
                list.entries.push(Entry {
                    sequence,
                    url: join(url, line),
                    init_url: init_url.clone(),
                    duration_s,
                    discontinuity: std::mem::take(&mut discontinuity),
                    gap: std::mem::take(&mut gap),
                    date_time: std::mem::take(&mut date_time),
                });
                sequence += 1;
            }
        }
        list
    }

    /// Fetches and reads the playlist at `url`; `None` when it is not there.
    pub fn fetch(url: &str) -> Option<Self> {
        let answer = request("GET", url).ok()?;
        (answer.status == 200).then(|| Self::parse(url, &answer.text()))
    }
}

/// What was heard of one track: every segment listed, in order, once.
#[derive(Debug, Default)]
pub struct Recording {
    /// The segments with their bytes.
    pub segments: Vec<(Entry, Vec<u8>)>,
    /// Initialization sections by URL.
    pub inits: std::collections::BTreeMap<String, Vec<u8>>,
    /// Segments that were listed and not served, or skipped in the numbering.
    pub faults: Vec<String>,
}

impl Recording {
    /// Takes what is new in the list at `url`. Gives whether the list has ended.
    pub fn poll(&mut self, url: &str) -> bool {
        let Some(list) = MediaList::fetch(url) else {
            return false;
        };
        let known = self.segments.last().map(|(e, _)| e.sequence);
        for entry in list
            .entries
            .iter()
            .filter(|e| known.is_none_or(|k| e.sequence > k))
        {
            if let Some((last, _)) = self.segments.last()
                && entry.sequence != last.sequence + 1
            {
                self.faults
                    .push(format!("{} follows {}", entry.sequence, last.sequence));
            }
            if !self.inits.contains_key(&entry.init_url)
                && let Some(answer) = self.take(&entry.init_url)
            {
                self.inits.insert(entry.init_url.clone(), answer.body);
            }
            // A track may have nothing left for the last, short segment; elsewhere a gap is a fault.
            let over = entry.gap && list.ended && Some(entry) == list.entries.last();
            let body = match over {
                true => Vec::new(),
                false => self.take(&entry.url).map(|a| a.body).unwrap_or_default(),
            };
            self.segments.push((entry.clone(), body));
        }
        list.ended
    }

    /// Polls until the list ends.
    pub fn follow_to_end(url: &str) -> Self {
        Self::follow_within(super::PATIENCE, url)
    }

    /// [`Recording::follow_to_end`] with another deadline.
    pub fn follow_within(limit: Duration, url: &str) -> Self {
        let mut all = Self::default();
        wait_within(limit, &format!("{url} ends"), || {
            all.poll(url).then_some(())
        });
        all
    }

    /// Joins init and segments into files, one for each run with the same init; gives their paths.
    pub fn join(&self, dir: &Path, name: &str) -> Vec<PathBuf> {
        let mut files: Vec<(String, PathBuf, Vec<u8>)> = Vec::new();
        for (entry, body) in &self.segments {
            if files
                .last()
                .is_none_or(|(init, ..)| *init != entry.init_url)
            {
                let path = dir.join(format!("{name}-{}.mp4", files.len()));
                files.push((
                    entry.init_url.clone(),
                    path,
                    self.inits[&entry.init_url].clone(),
                ));
            }
            files.last_mut().unwrap().2.extend_from_slice(body);
        }
        files
            .into_iter()
            .map(|(_, path, bytes)| {
                std::fs::write(&path, bytes).unwrap();
                path
            })
            .collect()
    }

    fn take(&mut self, url: &str) -> Option<Answer> {
        match request("GET", url) {
            Ok(answer) if answer.status == 200 => Some(answer),
            Ok(answer) => {
                self.faults.push(format!("{url}: {}", answer.status));
                None
            }
            Err(error) => {
                self.faults.push(error);
                None
            }
        }
    }
}

/// Decodes a file wholly; gives what ffmpeg complained of (nothing, when all is well).
pub fn decode(path: &Path) -> String {
    let path = path.to_str().unwrap();
    super::run(
        "ffmpeg",
        &["-v", "error", "-xerror", "-i", path, "-f", "null", "-"],
    )
    .1
}

/// Timestamps of every packet of a file's first track, seconds: (dts, duration).
pub fn packets(path: &Path) -> Vec<(f64, f64)> {
    let args = [
        "-v",
        "error",
        "-show_entries",
        "packet=dts_time,duration_time",
        "-of",
        "csv=p=0",
    ];
    let mut all: Vec<&str> = args.to_vec();
    all.push(path.to_str().unwrap());
    let (out, _) = super::run("ffprobe", &all);
    out.lines()
        .filter_map(|l| {
            let mut cells = l.trim_end_matches(',').split(',');
            Some((cells.next()?.parse().ok()?, cells.next()?.parse().ok()?))
        })
        .collect()
}

/// Largest hole or overlap between neighbouring packets, seconds.
pub fn largest_step_error(packets: &[(f64, f64)]) -> f64 {
    packets
        .windows(2)
        .map(|pair| (pair[1].0 - pair[0].0 - pair[0].1).abs())
        .fold(0.0, f64::max)
}

/// A value `ffprobe` gives for a file's first track.
pub fn probe(path: &Path, entry: &str) -> String {
    let entries = format!("stream={entry}");
    let path = path.to_str().unwrap();
    super::run(
        "ffprobe",
        &[
            "-v",
            "error",
            "-show_entries",
            &entries,
            "-of",
            "csv=p=0",
            path,
        ],
    )
    .0
    .trim()
    .to_owned()
}

fn join(base: &str, reference: &str) -> String {
    assert!(
        !reference.contains("://") && !reference.starts_with('/'),
        "not relative: {reference}"
    );
    format!("{}/{reference}", base.rsplit_once('/').unwrap().0)
}
