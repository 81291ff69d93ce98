//! From a configuration to listening, serving, another configuration, and a clean end.
//!
//! Three steps, so that a process can report what fails in each: [`Lb::new`] (what the
//! configuration asks for can be made), [`Lb::bind`] (its addresses can be had), [`Bound::run`]
//! (serve until told to stop, drain, cut what is left) or [`Bound::start`], whose [`Running`] can
//! be given another configuration: sockets of addresses that stand in both are kept, so that no
//! connection is refused meanwhile, and what was begun ends under the old one.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use prometheus::Registry;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use weir_cluster::NodesSeen;
use weir_conf::nginx::{Addr, Config};

use crate::access_log::AccessLogs;
use crate::error::LbError;
use crate::generation::{Generation, Made, Target, Work};
use crate::inherited::Inherited;
use crate::listen::{self, Listener};
use crate::metrics::Metrics;
use crate::owners::StreamOwners;

/// What the node says beside the configuration file.
#[derive(Debug, Clone)]
pub struct LbOptions {
    /// Client connections at once, over all HTTP listeners, and again over all those of the
    /// `stream` block: a flood of viewers shall not keep publishers out. The file's
    /// `worker_processes` times `worker_connections` holds too; the smaller wins.
    pub connections_max: usize,
    /// The cluster's nodes, for upstreams with `cluster`.
    pub nodes: Option<watch::Receiver<Arc<NodesSeen>>>,
    /// Who has a stream, for upstreams that prefer the owner.
    pub owners: StreamOwners,
    /// Where the file's `access_log`s are written; without it requests are told of in the log of
    /// the process.
    pub access_logs: Option<AccessLogs>,
}

impl Default for LbOptions {
    fn default() -> Self {
        Self {
            connections_max: 100_000,
            nodes: None,
            owners: StreamOwners::default(),
            access_logs: None,
        }
    }
}

/// A load balancer that is not listening yet.
pub struct Lb {
    options: LbOptions,
    metrics: Metrics,
    made: Made,
}

/// A load balancer that has its addresses.
pub struct Bound {
    lb: Lb,
    /// One a door of what was made, in its order.
    listeners: Vec<Listener>,
}

/// A load balancer that serves.
pub struct Running {
    options: LbOptions,
    metrics: Metrics,
    doors: Vec<OpenDoor>,
    accepting: TaskTracker,
    current: Arc<ArcSwap<Generation>>,
    /// Those that end.
    former: TaskTracker,
    /// Ends them at once.
    cut: CancellationToken,
}

/// A listener that accepts.
struct OpenDoor {
    /// As the configuration has it.
    addr: Addr,
    udp: bool,
    listener: Arc<Listener>,
    target: Arc<ArcSwap<Target>>,
    /// Ends its accepting.
    stop: CancellationToken,
}

impl Lb {
    /// Makes ready what the configuration says, and registers the metrics.
    ///
    /// # Errors
    /// An upstream address the system cannot take, `cluster` without
    /// [`LbOptions::nodes`], a certificate or key that cannot be read or does not fit, or metrics
    /// that are registered already.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "a balancer is made of its configuration: callers have no more use for it"
    )]
    pub fn new(config: Config, options: LbOptions, registry: &Registry) -> Result<Self, LbError> {
        let metrics = Metrics::new(registry)?;
        let made = Made::new(&config, &options, &metrics)?;
        Ok(Self {
            options,
            metrics,
            made,
        })
    }

    /// Binds every address of the configuration.
    ///
    /// # Errors
    /// The first address that cannot be had; those bound before are let go.
    pub fn bind(self) -> Result<Bound, LbError> {
        self.bind_with(Vec::new())
    }

    /// The same, but takes what is listened on already from these sockets, which another process
    /// handed on; those of no use are closed.
    ///
    /// # Errors
    /// As [`Self::bind`].
    pub fn bind_with(self, sockets: Vec<OwnedFd>) -> Result<Bound, LbError> {
        let mut inherited = Inherited::new(sockets);
        let doors = self.made.doors.iter();
        let listeners = doors.map(|(listen, _)| {
            let (socket, metrics) = (inherited.take(listen), &self.metrics);
            listen::bind(listen, socket, metrics)
        });
        let listeners = listeners.collect::<Result<_, _>>()?;
        Ok(Bound {
            lb: self,
            listeners,
        })
    }
}

impl Bound {
    /// Every address listened on, HTTP before TCP before UDP, each in the order of the file; ports the
    /// system chose are filled in.
    #[must_use]
    pub fn addresses(&self) -> Vec<Addr> {
        self.http_addresses()
            .into_iter()
            .chain(self.tcp_addresses())
            .chain(self.udp_addresses())
            .collect()
    }

    /// The addresses of the `http` block.
    #[must_use]
    pub fn http_addresses(&self) -> Vec<Addr> {
        self.those(|work| matches!(work, Work::Http(_)))
    }

    /// The addresses of the `stream` block for datagrams.
    #[must_use]
    pub fn udp_addresses(&self) -> Vec<Addr> {
        self.those(|work| matches!(work, Work::Udp(_)))
    }

    /// The addresses of the `stream` block for connections.
    #[must_use]
    pub fn tcp_addresses(&self) -> Vec<Addr> {
        self.those(|work| matches!(work, Work::Tcp(_)))
    }

    /// Serves until `shutdown`; then accepts no more, lets requests and connections in hand end,
    /// and cuts what is left after `drain_limit` (or the file's `worker_shutdown_timeout`, if
    /// that is shorter).
    pub async fn run(self, shutdown: CancellationToken, drain_limit: Duration) {
        let running = self.start();
        shutdown.cancelled().await;
        running.drain(drain_limit).await;
    }

    /// Serves from now on. Needs a tokio runtime.
    #[must_use]
    pub fn start(self) -> Running {
        let Lb {
            options,
            metrics,
            mut made,
        } = self.lb;
        let doors = std::mem::take(&mut made.doors);
        let generation = made.start(options.nodes.as_ref());
        let mut running = Running {
            options,
            metrics,
            doors: Vec::new(),
            accepting: TaskTracker::new(),
            current: Arc::new(ArcSwap::new(Arc::clone(&generation))),
            former: TaskTracker::new(),
            cut: CancellationToken::new(),
        };
        for ((listen, work), listener) in doors.into_iter().zip(self.listeners) {
            running.open((listen.addr, listen.udp), listener, work, &generation);
        }
        running
    }

    fn those(&self, wanted: impl Fn(&Work) -> bool) -> Vec<Addr> {
        let doors = self.lb.made.doors.iter().zip(&self.listeners);
        doors
            .filter(|((_, work), _)| wanted(work))
            .map(|(_, listener)| listener.addr.clone())
            .collect()
    }
}

impl Running {
    /// Goes over to another configuration. What was begun under the old one ends under it, within
    /// its `worker_shutdown_timeout`.
    ///
    /// # Errors
    /// As [`Lb::new`] and [`Lb::bind`]; nothing has changed then.
    pub fn reload(&mut self, config: &Config) -> Result<(), LbError> {
        let mut made = Made::new(config, &self.options, &self.metrics)?;
        let doors = std::mem::take(&mut made.doors);
        let mut ready = Vec::with_capacity(doors.len());
        for (listen, work) in doors {
            let kept = self
                .doors
                .iter()
                .position(|door| door.is_at(&listen.addr, listen.udp));
            let listener = match kept {
                Some(_) => None,
                None => Some(listen::bind(&listen, None, &self.metrics)?),
            };
            ready.push(((listen.addr, listen.udp), listener, work));
        }
        // Nothing fails from here on.
        let old = self.current.load_full();
        made.learn(&old);
        let generation = made.start(self.options.nodes.as_ref());
        self.current.store(Arc::clone(&generation));
        self.doors.retain(|door| {
            let stays = ready.iter().any(|((addr, udp), ..)| door.is_at(addr, *udp));
            if !stays {
                door.stop.cancel();
            }
            stays
        });
        for ((addr, udp), listener, work) in ready {
            match listener {
                Some(listener) => self.open((addr, udp), listener, work, &generation),
                None => {
                    let Some(at) = self.doors.iter().position(|door| door.is_at(&addr, udp)) else {
                        continue;
                    };
                    let generation = Arc::clone(&generation);
                    let mut door = self.doors.swap_remove(at);
                    door.target.store(Arc::new(Target { work, generation }));
                    if door.stop.is_cancelled() {
                        self.accept_at(&mut door);
                    }
                    self.doors.push(door);
                }
            }
        }
        self.retire(old);
        Ok(())
    }

    /// The sockets it listens on, to be handed on to another process.
    #[must_use]
    pub fn sockets(&self) -> Vec<BorrowedFd<'_>> {
        self.doors.iter().map(|door| door.listener.fd()).collect()
    }

    /// Whether files of unix sockets stay when they are closed: another process has them.
    pub fn leave_paths(&self, leave: bool) {
        for door in &self.doors {
            door.listener.leave_path(leave);
        }
    }

    /// Whether it was told to accept no more and not to go on since.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        let mut doors = self.doors.iter();
        doors.any(|door| door.stop.is_cancelled())
    }

    /// Accepts no more until the next [`Self::reload`], and lets what is in hand end; the
    /// addresses are kept, so that clients wait.
    pub fn pause(&self) {
        for door in &self.doors {
            door.stop.cancel();
        }
        self.retire(self.current.load_full());
    }

    /// Accepts no more, lets requests and connections in hand end, and cuts what is left after
    /// `limit` (or the file's `worker_shutdown_timeout`, if that is shorter).
    pub async fn drain(mut self, limit: Duration) {
        self.close().await;
        let current = self.current.load_full();
        let former = async {
            if tokio::time::timeout(limit, self.former.wait())
                .await
                .is_err()
            {
                self.cut.cancel();
                self.former.wait().await;
            }
        };
        tokio::join!(current.drain(limit), former);
    }

    /// Ends at once.
    pub async fn end(mut self) {
        self.close().await;
        self.cut.cancel();
        self.current.load().end().await;
        self.former.wait().await;
    }

    /// Lets the addresses go.
    async fn close(&mut self) {
        for door in self.doors.drain(..) {
            door.stop.cancel();
        }
        self.accepting.close();
        self.accepting.wait().await;
        self.former.close();
    }

    fn open(
        &mut self,
        (addr, udp): (Addr, bool),
        listener: Listener,
        work: Work,
        generation: &Arc<Generation>,
    ) {
        let generation = Arc::clone(generation);
        let target = Arc::new(ArcSwap::from_pointee(Target { work, generation }));
        let mut door = OpenDoor {
            addr,
            udp,
            listener: Arc::new(listener),
            target,
            stop: CancellationToken::new(),
        };
        self.accept_at(&mut door);
        self.doors.push(door);
    }

    fn accept_at(&self, door: &mut OpenDoor) {
        door.stop = CancellationToken::new();
        let (listener, target) = (Arc::clone(&door.listener), Arc::clone(&door.target));
        let (stop, refused) = (door.stop.clone(), self.metrics.refused.clone());
        let accepting = async move { listener.run(stop, refused, target).await };
        self.accepting.spawn(accepting);
    }

    fn retire(&self, old: Arc<Generation>) {
        let (cut, metrics) = (self.cut.clone(), self.metrics.clone());
        let current = Arc::clone(&self.current);
        self.former.spawn(async move {
            tokio::select! {
                () = cut.cancelled() => old.end().await,
                () = old.drain(Duration::MAX) => {}
            }
            old.forget(&current.load(), &metrics);
        });
    }
}

impl OpenDoor {
    /// Whether it is the one for an address. Port 0 is another port each time.
    fn is_at(&self, addr: &Addr, udp: bool) -> bool {
        let any = matches!(addr, Addr::Inet(addr) if addr.port() == 0);
        !any && self.addr == *addr && self.udp == udp
    }
}
