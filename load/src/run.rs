//! One run: targets reached, publishers and viewers started over the ramp, ended after the
//! duration or at Ctrl-C, the report written.
//!
//! Viewers end before publishers, so that no viewer sees a stream end that was meant to.

use crate::args::Plan;
use crate::clip::Clip;
use crate::publish::Publisher;
use crate::report::Report;
use crate::table;
use crate::tally::Tally;
use crate::target::reach;
use crate::watch::{Room, SharedStream, Viewer};
use http::HeaderValue;
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Time for all goodbyes at the end.
const END_TIMEOUT: Duration = Duration::from_secs(5);
/// Exit code of a process that a second Ctrl-C ended: 128 + SIGINT, as shells say it.
const IMPATIENT_EXIT_CODE: i32 = 130;

/// Why a run could not be.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Runs `plan`; gives whether it passed.
pub(crate) async fn run(plan: Plan) -> Result<bool, Failure> {
    let clip = load_clip(&plan)?;
    // Before the load, so that a report that cannot be written costs nobody an hour.
    let json = plan
        .args
        .json
        .as_ref()
        .map(|path| File::create(path).map_err(|e| format!("--json {}: {e}", path.display())));
    let json = json.transpose()?;
    let mut house = House::new(plan, clip).await?;
    let tally = Arc::clone(&house.tally);
    table::say(&house.opening());
    house.start();
    let interrupted = {
        let plan = &house.plan;
        tokio::select! {
            () = sleep(plan.args.duration) => false,
            () = asked_to_end() => true,
            () = table::show(plan, &tally) => false,
        }
    };
    let plan = house.end().await;
    let report = Report::new(&plan, &tally, interrupted);
    table::say(&report.text());
    if let (Some(file), Some(path)) = (json, &plan.args.json) {
        serde_json::to_writer_pretty(file, &report)
            .map_err(|e| format!("--json {}: {e}", path.display()))?;
    }
    Ok(report.passed)
}

fn load_clip(plan: &Plan) -> Result<Clip, Failure> {
    match &plan.args.media {
        None => Ok(Clip::built_in()?),
        Some(path) => {
            Clip::load(path).map_err(|e| format!("--media {} {e}", path.display()).into())
        }
    }
}

/// All who take part.
struct House {
    plan: Plan,
    clip: Arc<Clip>,
    tally: Arc<Tally>,
    publishers: JoinSet<()>,
    viewers: JoinSet<()>,
    stop_publishers: CancellationToken,
    stop_viewers: CancellationToken,
    rtmp: Arc<[std::net::SocketAddr]>,
    room: Option<Arc<Room>>,
}

impl House {
    /// Reaches the targets.
    async fn new(plan: Plan, clip: Clip) -> Result<Self, Failure> {
        let tally = Arc::new(Tally::new());
        let rtmp = match &plan.args.rtmp {
            Some(target) => reach("--rtmp", &target.url, &target.authority)
                .await?
                .into(),
            None => Arc::from([]),
        };
        let room = match &plan.args.http {
            Some(target) => Some(Arc::new(Room {
                addresses: reach("--http", &target.url, &target.authority)
                    .await?
                    .into(),
                host: HeaderValue::from_str(&target.host)?,
                tally: Arc::clone(&tally),
                playlist_only: plan.args.playlist_only,
                timeout: plan.args.timeout,
                start_timeout: plan.args.start_timeout,
                published_here: plan.args.rtmp.is_some(),
            })),
            None => None,
        };
        Ok(Self {
            plan,
            clip: Arc::new(clip),
            tally,
            publishers: JoinSet::new(),
            viewers: JoinSet::new(),
            stop_publishers: CancellationToken::new(),
            stop_viewers: CancellationToken::new(),
            rtmp,
            room,
        })
    }

    /// What is about to happen, in one line.
    fn opening(&self) -> String {
        let args = &self.plan.args;
        let streams = args.streams;
        let publish = args
            .rtmp
            .as_ref()
            .map(|t| format!("{streams} streams to {}", t.url));
        let watch = args
            .http
            .as_ref()
            .map(|t| format!("{} viewers of {}", self.plan.viewers, t.url));
        let parts: Vec<_> = publish.into_iter().chain(watch).collect();
        let seconds = args.duration.as_secs();
        format!("weir load: {} for {seconds} s\n", parts.join(", "))
    }

    /// Starts everybody; they wait for their turn by themselves.
    fn start(&mut self) {
        // A task like theirs, so that it waits its turn as they do.
        self.viewers.spawn(table::watch_own_delay(
            Arc::clone(&self.tally),
            self.stop_viewers.clone(),
        ));
        let streams = self.plan.args.streams;
        let mut rng = fastrand::Rng::with_seed(self.plan.args.seed);
        for index in 0..streams {
            let id = self.plan.stream_id(index);
            let (live, seen) = watch::channel(self.plan.args.rtmp.is_none());
            self.start_publisher(index, &id, live, rng.fork());
            self.start_viewers(index, &id, &seen, &mut rng);
        }
    }

    fn start_publisher(
        &mut self,
        index: u32,
        id: &str,
        live: watch::Sender<bool>,
        rng: fastrand::Rng,
    ) {
        let Some(target) = &self.plan.args.rtmp else {
            // Nobody publishes here, but viewers look at the sender.
            self.publishers.spawn(async move { live.closed().await });
            return;
        };
        let publisher = Publisher {
            target: Arc::new(target.clone()),
            addresses: Arc::clone(&self.rtmp),
            stream: id.to_owned(),
            clip: Arc::clone(&self.clip),
            tally: Arc::clone(&self.tally),
            live,
            rng,
        };
        let delay = self
            .plan
            .args
            .ramp
            .mul_f64(f64::from(index) / f64::from(self.plan.args.streams));
        let stop = self.stop_publishers.clone();
        self.publishers.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = sleep(delay) => publisher.run(stop.clone()).await,
            }
        });
    }

    /// The viewers of stream `index`, spread over the ramp after it is published.
    fn start_viewers(
        &mut self,
        index: u32,
        id: &str,
        live: &watch::Receiver<bool>,
        rng: &mut fastrand::Rng,
    ) {
        let (Some(room), Some(target)) = (&self.room, &self.plan.args.http) else {
            return;
        };
        // Ids are checked to need no escaping, so that there always is a URL.
        let Ok(multivariant) = target.multivariant(id) else {
            return;
        };
        let shared = Arc::new(SharedStream::default());
        let streams = self.plan.args.streams;
        let numbers = (index..self.plan.viewers).step_by(streams as usize);
        for number in numbers {
            let viewer = Viewer {
                room: Arc::clone(room),
                number: u64::from(number / streams),
                stream: id.to_owned(),
                multivariant: multivariant.clone(),
                shared: Arc::clone(&shared),
                live: live.clone(),
                delay: self.plan.args.ramp.mul_f64(rng.f64()),
            };
            self.viewers.spawn(viewer.run(self.stop_viewers.clone()));
        }
    }

    /// Ends everybody, viewers first.
    async fn end(mut self) -> Plan {
        tokio::spawn(async {
            asked_to_end().await;
            std::process::exit(IMPATIENT_EXIT_CODE);
        });
        self.stop_viewers.cancel();
        let _ = timeout(END_TIMEOUT, all(&mut self.viewers)).await;
        self.stop_publishers.cancel();
        let _ = timeout(END_TIMEOUT, all(&mut self.publishers)).await;
        self.plan
    }
}

/// Ctrl-C, or the SIGTERM of a script; never, if they cannot be had.
async fn asked_to_end() {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        Ok(()) = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

async fn all(tasks: &mut JoinSet<()>) {
    while tasks.join_next().await.is_some() {}
}
