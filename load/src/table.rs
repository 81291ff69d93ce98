//! What a person sees while it runs: on a terminal one table that is drawn over each second, else
//! a plain line each [`LINE_PERIOD_S`] seconds.

use crate::args::Plan;
use crate::tally::Tally;
use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// Seconds between two plain lines.
const LINE_PERIOD_S: u32 = 5;
/// Rows of the table, which the next drawing goes up by.
const ROWS: usize = 4;

/// A line on stdout. A closed stdout is no reason to stop.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}

/// A line on stderr, in the program's name.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "weir load: {line}");
}

/// Counters at one moment.
#[derive(Clone, Copy, Debug, Default)]
struct Moment {
    at: Duration,
    playlists: u64,
    segments: u64,
    bytes: u64,
    published: u64,
}

impl Moment {
    fn of(tally: &Tally) -> Self {
        Self {
            at: tally.elapsed(),
            playlists: tally.multivariant.get() + tally.playlists.get(),
            segments: tally.segments.get(),
            bytes: tally.viewed_bytes.get(),
            published: tally.published_bytes.get(),
        }
    }
}

/// Shows the run until it is dropped.
pub(crate) async fn show(plan: &Plan, tally: &Arc<Tally>) {
    let terminal = std::io::stdout().is_terminal();
    let seconds = if terminal { 1 } else { LINE_PERIOD_S };
    let mut ticks = interval(Duration::from_secs(u64::from(seconds)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks.tick().await;
    let (mut before, mut drawn) = (Moment::of(tally), false);
    loop {
        ticks.tick().await;
        let now = Moment::of(tally);
        let cells = cells(plan, tally, before, now);
        if terminal {
            let up = if drawn {
                format!("\x1b[{ROWS}A")
            } else {
                String::new()
            };
            say(&format!("{up}{}", table(&cells)));
        } else {
            say(&format!("{}\n", cells.join(", ")));
        }
        (before, drawn) = (now, true);
    }
}

/// Measures how late this process's own tasks are.
pub(crate) async fn watch_own_delay(tally: Arc<Tally>, stop: CancellationToken) {
    const PERIOD: Duration = Duration::from_millis(100);
    while !stop.is_cancelled() {
        let due = Instant::now() + PERIOD;
        tokio::time::sleep_until(due).await;
        tally.own_delay.record(due.elapsed());
    }
}

/// One text a row.
fn cells(plan: &Plan, tally: &Tally, before: Moment, now: Moment) -> [String; ROWS] {
    let seconds = now.at.saturating_sub(before.at).as_secs_f64().max(0.001);
    let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
    let mbits = |now, before| rate(now, before) * 8.0 / 1e6;
    let playlist = tally.playlist_latency.percentiles();
    let segment = tally.segment_latency.percentiles();
    [
        format!(
            "{:.0} s of {} s",
            now.at.as_secs_f64(),
            plan.args.duration.as_secs()
        ),
        format!(
            "publishing {} of {} at {:.1} Mbit/s",
            tally.streams_live.get(),
            plan.args.streams,
            mbits(now.published, before.published)
        ),
        format!(
            "playing {} of {} at {:.1} Mbit/s",
            tally.viewers_played.get(),
            plan.viewers,
            mbits(now.bytes, before.bytes)
        ),
        format!(
            "{:.0} playlists/s (p99 {:.1} ms), {:.0} segments/s (p99 {:.1} ms), {} errors",
            rate(now.playlists, before.playlists),
            playlist.p99,
            rate(now.segments, before.segments),
            segment.p99,
            tally.error_count()
        ),
    ]
}

/// The rows, each wiped to its end.
fn table(cells: &[String; ROWS]) -> String {
    let names = ["time", "publishers", "viewers", "requests"];
    let row = |(name, cell): (&str, &String)| format!("\x1b[2K  {name:<11}{cell}\n");
    names.into_iter().zip(cells).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_as_many_rows_as_it_goes_up() {
        let text = table(&std::array::from_fn(|index| format!("cell {index}")));
        assert_eq!(text.matches('\n').count(), ROWS);
        assert!(text.contains("  requests   cell 3\n"), "{text:?}");
    }
}
