mod capture;
mod encoders;
mod faults;
mod logs;

use std::time::Duration;

use prometheus::Registry;

use super::*;
use crate::ingest::rtmp::testing::{Published, Recorder};

/// A server on an ephemeral port.
struct Running {
    address: SocketAddr,
    recorder: Recorder,
    registry: Registry,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    async fn start(options: RtmpOptions) -> Self {
        let recorder = Recorder::default();
        let registry = Registry::new();
        let admission = Arc::new(recorder.clone());
        let server = RtmpServer::new(options, admission, &registry).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let token = stop.clone();
        let task = tokio::spawn(async move { server.serve(listener, token).await });
        Self {
            address,
            recorder,
            registry,
            stop,
            task,
        }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }

    fn with<T>(&self, look: impl FnOnce(&[Published]) -> T) -> T {
        look(&self.recorder.publishes.lock().unwrap())
    }

    /// A counter's value, summed over its labels (or only those with `label` in them).
    fn metric(&self, name: &str, label: &str) -> u64 {
        metric(&self.registry, name, label)
    }
}

fn metric(registry: &Registry, name: &str, label: &str) -> u64 {
    let text = prometheus::TextEncoder::new()
        .encode_to_string(&registry.gather())
        .unwrap();
    text.lines()
        .filter(|line| line.starts_with(name) && line.contains(label))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        .sum()
}

/// Waits for a condition, at most 20 s.
async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never happened: {what}");
}
