//! The report at the end, as text for people and as JSON for scripts; both from one value.

use crate::args::Plan;
use crate::fault::Kind;
use crate::tally::{Example, Percentiles, Tally};
use serde::Serialize;
use std::fmt::Write as _;

/// Delay of this process's own tasks from which on its figures tell of itself, milliseconds.
const OWN_DELAY_MS_MAX: f64 = 100.0;

/// All that a run found.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) version: &'static str,
    pub(crate) passed: bool,
    /// Whether it was ended before its time.
    pub(crate) interrupted: bool,
    pub(crate) duration_s: f64,
    pub(crate) rtmp: Option<String>,
    pub(crate) http: Option<String>,
    pub(crate) playlist_only: bool,
    pub(crate) seed: u64,
    pub(crate) streams: Streams,
    pub(crate) viewers: Viewers,
    pub(crate) requests: Requests,
    pub(crate) latency_ms: Latencies,
    pub(crate) errors: ErrorReport,
}

#[derive(Debug, Serialize)]
pub(crate) struct Streams {
    pub(crate) wanted: u32,
    /// Accepted at least once.
    pub(crate) accepted: u64,
    pub(crate) reconnects: u64,
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Viewers {
    pub(crate) wanted: u32,
    pub(crate) started: u64,
    pub(crate) played: u64,
    pub(crate) reconnects: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Requests {
    pub(crate) multivariant: u64,
    pub(crate) playlists: u64,
    pub(crate) inits: u64,
    pub(crate) segments: u64,
    /// Segments whose sample times were judged.
    pub(crate) segments_timed: u64,
    pub(crate) bytes: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Latencies {
    pub(crate) publish: Percentiles,
    pub(crate) startup: Percentiles,
    pub(crate) playlist: Percentiles,
    pub(crate) segment: Percentiles,
    /// How late this process's own tasks were.
    pub(crate) own_delay: Percentiles,
}

#[derive(Debug, Serialize)]
pub(crate) struct ErrorReport {
    pub(crate) total: u64,
    pub(crate) allowed: u64,
    pub(crate) kinds: Vec<KindReport>,
}

#[derive(Debug, Serialize)]
pub(crate) struct KindReport {
    pub(crate) kind: Kind,
    pub(crate) meaning: &'static str,
    pub(crate) count: u64,
    /// The first ones.
    pub(crate) examples: Vec<Example>,
}

impl Report {
    /// What `tally` holds at the end of a run of `plan`.
    pub(crate) fn new(plan: &Plan, tally: &Tally, interrupted: bool) -> Self {
        let kind = |(kind, errors): (Kind, crate::tally::Errors)| KindReport {
            kind,
            meaning: kind.meaning(),
            count: errors.count,
            examples: errors.examples,
        };
        let kinds: Vec<_> = tally.errors().into_iter().map(kind).collect();
        let total = kinds.iter().map(|kind| kind.count).sum();
        let allowed = plan.args.allow_errors;
        Self {
            version: env!("CARGO_PKG_VERSION"),
            passed: total <= allowed,
            interrupted,
            duration_s: tally.elapsed().as_secs_f64(),
            rtmp: plan.args.rtmp.as_ref().map(|target| target.url.clone()),
            http: plan.args.http.as_ref().map(|target| target.url.clone()),
            playlist_only: plan.args.playlist_only,
            seed: plan.args.seed,
            streams: Streams {
                wanted: plan.args.streams,
                accepted: tally.streams_accepted.get(),
                reconnects: tally.publish_reconnects.get(),
                frames: tally.frames_sent.get(),
                bytes: tally.published_bytes.get(),
            },
            viewers: Viewers {
                wanted: plan.viewers,
                started: tally.viewers_started.get(),
                played: tally.viewers_played.get(),
                reconnects: tally.viewer_reconnects.get(),
            },
            requests: Requests {
                multivariant: tally.multivariant.get(),
                playlists: tally.playlists.get(),
                inits: tally.inits.get(),
                segments: tally.segments.get(),
                segments_timed: tally.segments_timed.get(),
                bytes: tally.viewed_bytes.get(),
            },
            latency_ms: Latencies {
                publish: tally.publish_latency.percentiles(),
                startup: tally.startup_latency.percentiles(),
                playlist: tally.playlist_latency.percentiles(),
                segment: tally.segment_latency.percentiles(),
                own_delay: tally.own_delay.percentiles(),
            },
            errors: ErrorReport {
                total,
                allowed,
                kinds,
            },
        }
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let early = if self.interrupted {
            ", ended early"
        } else {
            ""
        };
        writeln!(
            out,
            "\nRun of {:.1} s{early}, seed {}",
            self.duration_s, self.seed
        )?;
        if let Some(rtmp) = &self.rtmp {
            let s = &self.streams;
            writeln!(
                out,
                "Published  {} of {} streams to {rtmp}, {} begun again; {} frames, {:.1} MB",
                s.accepted,
                s.wanted,
                s.reconnects,
                s.frames,
                mb(s.bytes)
            )?;
        }
        if let Some(http) = &self.http {
            let (v, r) = (&self.viewers, &self.requests);
            writeln!(
                out,
                "Watched    {} of {} viewers played from {http}, {} reconnects",
                v.played, v.wanted, v.reconnects
            )?;
            writeln!(
                out,
                "Fetched    {} playlists ({:.0}/s), {} segments ({} timed), {:.1} MB ({:.1} Mbit/s)",
                r.multivariant + r.playlists,
                (r.multivariant + r.playlists) as f64 / self.duration_s,
                r.segments,
                r.segments_timed,
                mb(r.bytes),
                mb(r.bytes) * 8.0 / self.duration_s
            )?;
        }
        self.write_latencies(out)?;
        self.write_errors(out)
    }

    fn write_latencies(&self, out: &mut String) -> std::fmt::Result {
        let all = &self.latency_ms;
        let head = ["count", "p50", "p90", "p99", "p99.9", "max"];
        write!(out, "Latency ms")?;
        for name in head {
            write!(out, " {name:>9}")?;
        }
        writeln!(out)?;
        for (name, p) in [
            ("publish", &all.publish),
            ("startup", &all.startup),
            ("playlist", &all.playlist),
            ("segment", &all.segment),
            ("own delay", &all.own_delay),
        ] {
            if p.count == 0 {
                continue;
            }
            write!(out, "  {name:<9}{:>9}", p.count)?;
            for ms in [p.p50, p.p90, p.p99, p.p999, p.max] {
                write!(out, " {ms:>9.1}")?;
            }
            writeln!(out)?;
        }
        if all.own_delay.p99 > OWN_DELAY_MS_MAX {
            writeln!(
                out,
                "  This machine was too busy to keep time: its figures tell of itself. Use fewer \
                 viewers a process, or more machines."
            )?;
        }
        Ok(())
    }

    fn write_errors(&self, out: &mut String) -> std::fmt::Result {
        for kind in &self.errors.kinds {
            writeln!(out, "Error      {} × {}", kind.count, kind.meaning)?;
            for example in &kind.examples {
                let Example {
                    at_s,
                    stream,
                    url,
                    detail,
                } = example;
                writeln!(out, "  at {at_s:.1} s, {stream}: {detail}")?;
                writeln!(out, "    {url}")?;
            }
        }
        let ErrorReport { total, allowed, .. } = self.errors;
        let verdict = if self.passed { "Passed" } else { "Broken" };
        writeln!(out, "{verdict}: {total} errors, {allowed} allowed")
    }
}

fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Fault;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        args: crate::Args,
    }

    fn report(words: &[&str], faults: usize) -> Report {
        let cli = Cli::try_parse_from(words).unwrap();
        let plan = Plan::check(cli.args, None).unwrap();
        let tally = Tally::new();
        for _ in 0..faults {
            let fault = Fault::new(Kind::SegmentStatus, "status 404, expected 200");
            tally.fault("load-1", "http://h/App/streams/load-1/1/v7.m4s", fault);
        }
        Report::new(&plan, &tally, false)
    }

    #[test]
    fn it_passes_up_to_the_errors_allowed() {
        let words = ["load", "--http", "http://h/App", "--allow-errors", "2"];
        assert!(report(&words, 2).passed);
        assert!(!report(&words, 3).passed);
    }

    #[test]
    fn text_and_json_name_what_broke_and_where() {
        let report = report(&["load", "--http", "http://h/App"], 1);
        let text = report.text();
        assert!(
            text.contains("1 × a listed segment was answered with an error"),
            "{text}"
        );
        assert!(text.contains("load-1: status 404, expected 200"), "{text}");
        assert!(text.ends_with("Broken: 1 errors, 0 allowed\n"), "{text}");
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["errors"]["kinds"][0]["kind"], "segment_status");
        assert_eq!(
            json["errors"]["kinds"][0]["examples"][0]["stream"],
            "load-1"
        );
        assert_eq!(
            (&json["passed"], &json["viewers"]["wanted"]),
            (&false.into(), &1.into())
        );
    }
}
