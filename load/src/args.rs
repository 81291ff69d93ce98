//! The arguments of `weir load`, raw as clap reads them, and checked as a [`Plan`].
//!
//! Every number has a bound here and nowhere else. What is wrong is said in one line that names
//! the argument; the process then ends with exit code 2.

use crate::target::{HttpTarget, RtmpTarget};
use std::path::PathBuf;
use std::time::Duration;

/// Streams one process publishes or watches, at most.
const STREAMS_MAX: u32 = 10_000;
/// Viewers of one process, at most. Each is a connection: an address has some 28,000 ports to
/// connect from unless the machine is told otherwise.
const VIEWERS_MAX: u32 = 100_000;
/// Longest run.
const DURATION_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// Longest stream name prefix, bytes; ids have a limit of their own in the cluster.
const PREFIX_BYTES_MAX: usize = 64;

/// Put realistic load on a cluster and say what broke
///
/// Publishers send a looped clip over RTMP in real time; viewers watch over HLS as players do and
/// check sequence numbers, discontinuities, timing and every byte of what they get.
/// Exit code: 0 nothing broke, 1 something did, 2 bad arguments.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Where to publish; without it the streams must be there already
    #[arg(long, value_name = "rtmp://HOST[:PORT]/APP")]
    pub rtmp: Option<RtmpTarget>,

    /// Where to watch; without it nobody watches
    #[arg(long, value_name = "http://HOST[:PORT]/APP")]
    pub http: Option<HttpTarget>,

    /// Number of streams, named PREFIX1, PREFIX2, …
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(STREAMS_MAX)))]
    pub streams: u32,

    /// Number of viewers, spread evenly over the streams [default: one a stream]
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=i64::from(VIEWERS_MAX)))]
    pub viewers: Option<u32>,

    /// Number of viewers of each stream, instead of --viewers
    #[arg(long, conflicts_with = "viewers")]
    pub viewers_per_stream: Option<u32>,

    /// How long the whole run lasts, the ramp included: 90, 90s, 15m, 2h
    #[arg(long, default_value = "60s", value_parser = duration)]
    pub duration: Duration,

    /// Time over which publishers, and then viewers, are started
    #[arg(long, default_value = "2s", value_parser = duration)]
    pub ramp: Duration,

    /// What the streams' names begin with
    #[arg(long, default_value = "load-", value_parser = prefix)]
    pub prefix: String,

    /// FLV file with H.264 and AAC to publish, looped [default: a small built-in clip]
    #[arg(long, value_name = "FILE")]
    pub media: Option<PathBuf>,

    /// Viewers poll playlists and check them, and fetch no segments
    #[arg(long)]
    pub playlist_only: bool,

    /// Time within which a stream must play once it is published
    #[arg(long, default_value = "15s", value_parser = duration)]
    pub start_timeout: Duration,

    /// Time within which every request must be answered whole
    #[arg(long, default_value = "10s", value_parser = duration)]
    pub timeout: Duration,

    /// Number of errors that still count as a pass
    #[arg(long, default_value_t = 0)]
    pub allow_errors: u64,

    /// Write the report here as JSON too
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Seed of everything random (who starts when), to repeat a run
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// Checked arguments.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) args: Args,
    /// Viewers in all.
    pub(crate) viewers: u32,
}

/// Arguments that do not go together.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BadArgs(pub(crate) String);

impl Plan {
    /// Checks what clap cannot. `open_files` is the process's limit, if it has one.
    pub(crate) fn check(args: Args, open_files: Option<u64>) -> Result<Self, BadArgs> {
        let bad = |text: &str| Err(BadArgs(text.to_owned()));
        let viewers = match (&args.http, args.viewers, args.viewers_per_stream) {
            (None, None | Some(0), None | Some(0)) => 0,
            (None, ..) => return bad("viewers need --http http://HOST:PORT/APP to watch at"),
            (Some(_), Some(viewers), _) => viewers,
            (Some(_), None, each) => args.streams.saturating_mul(each.unwrap_or(1)),
        };
        if args.rtmp.is_none() && viewers == 0 {
            return bad("nothing to do: give --rtmp to publish, --http to watch, or both");
        }
        if viewers > VIEWERS_MAX {
            let text = format!("{viewers} viewers are too many for one process ({VIEWERS_MAX})");
            return Err(BadArgs(text));
        }
        if args.ramp >= args.duration {
            return bad("--ramp must be shorter than --duration, which includes it");
        }
        if args.media.is_some() && args.rtmp.is_none() {
            return bad("--media is what is published: it needs --rtmp");
        }
        let connections = u64::from(viewers) + u64::from(args.streams) + FILES_SPARE;
        if let Some(files) = open_files.filter(|files| *files < connections) {
            return Err(BadArgs(format!(
                "{viewers} viewers and {} streams need {connections} open files, and this process \
                 may have {files}: raise the limit (ulimit -n {connections})",
                args.streams
            )));
        }
        Ok(Self { args, viewers })
    }

    /// Id of stream `index`, counted from 0.
    pub(crate) fn stream_id(&self, index: u32) -> String {
        format!("{}{}", self.args.prefix, u64::from(index) + 1)
    }
}

/// Files that are no connections: the runtime's, the standard ones, the report.
const FILES_SPARE: u64 = 32;

fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit_s) = match text.as_bytes().last() {
        Some(b's') => (&text[..text.len() - 1], 1),
        Some(b'm') => (&text[..text.len() - 1], 60),
        Some(b'h') => (&text[..text.len() - 1], 3600),
        _ => (text, 1),
    };
    let count: u64 = number
        .parse()
        .map_err(|_| "expected a whole number of seconds, or one with s, m or h".to_owned())?;
    let found = Duration::from_secs(count.saturating_mul(unit_s));
    if found > DURATION_MAX {
        return Err("at most seven days".to_owned());
    }
    Ok(found)
}

fn prefix(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.is_empty() || text.len() > PREFIX_BYTES_MAX || !text.chars().all(plain) {
        return Err(format!(
            "1 to {PREFIX_BYTES_MAX} letters, digits, '-', '_' or '.'"
        ));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn plan(words: &str) -> Result<Plan, String> {
        let words = std::iter::once("load").chain(words.split_whitespace());
        let cli = Cli::try_parse_from(words).map_err(|e| e.to_string())?;
        Plan::check(cli.args, Some(20_000)).map_err(|e| e.to_string())
    }

    #[test]
    fn viewers_are_counted_over_all_streams() {
        let both = "--rtmp rtmp://a/App --http http://a:5080/App --streams 3";
        assert_eq!(plan(both).unwrap().viewers, 3);
        assert_eq!(plan(&format!("{both} --viewers 10")).unwrap().viewers, 10);
        let each = plan(&format!("{both} --viewers-per-stream 4")).unwrap();
        assert_eq!((each.viewers, each.stream_id(2)), (12, "load-3".to_owned()));
        assert_eq!(plan("--rtmp rtmp://a/App").unwrap().viewers, 0);
    }

    #[test]
    fn what_does_not_go_together_is_refused_by_name() {
        for (words, complaint) in [
            ("", "nothing to do"),
            ("--rtmp rtmp://a/App --viewers 3", "--http"),
            ("--http http://a/App --media x.flv", "--rtmp"),
            ("--http http://a/App --duration 5 --ramp 5s", "--ramp"),
            ("--http http://a/App --viewers 30000", "open files"),
            ("--http http://a/App --duration 1d", "whole number"),
            ("--http http://a/App --prefix a/b", "letters"),
            ("--http ftp://a/App", "http://"),
            ("--streams 0 --http http://a/App", "0"),
        ] {
            let error = plan(words).unwrap_err();
            assert!(error.contains(complaint), "{words}: {error}");
        }
    }
}
