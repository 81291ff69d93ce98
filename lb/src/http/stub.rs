//! What `stub_status` shows: connections and what each is doing.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doing {
    /// Waiting for a next request.
    Waiting,
    /// Reading a request's header.
    Reading,
    /// Anything from there to the end of the answer.
    Writing,
}

/// Counts since the start, and of now.
#[derive(Debug, Default)]
pub(crate) struct Stub {
    accepted: AtomicU64,
    requests: AtomicU64,
    waiting: AtomicU64,
    reading: AtomicU64,
    writing: AtomicU64,
}

impl Stub {
    /// A connection came.
    pub(crate) fn accepted(&self) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection goes from one thing to another; `None` is to come and to go.
    pub(crate) fn moved(&self, from: Option<Doing>, to: Option<Doing>) {
        if let Some(from) = from {
            self.count(from).fetch_sub(1, Ordering::Relaxed);
        }
        if let Some(to) = to {
            self.count(to).fetch_add(1, Ordering::Relaxed);
        }
        if to == Some(Doing::Writing) {
            self.requests.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A request was counted that will be counted again.
    pub(crate) fn uncounted(&self) {
        self.requests.fetch_sub(1, Ordering::Relaxed);
    }

    /// nginx's page.
    pub(crate) fn text(&self) -> String {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (accepted, requests) = (get(&self.accepted), get(&self.requests));
        let (reading, writing, waiting) =
            (get(&self.reading), get(&self.writing), get(&self.waiting));
        let active = reading + writing + waiting;
        format!(
            "Active connections: {active} \nserver accepts handled requests\n \
             {accepted} {accepted} {requests} \nReading: {reading} Writing: {writing} \
             Waiting: {waiting} \n"
        )
    }

    fn count(&self, doing: Doing) -> &AtomicU64 {
        match doing {
            Doing::Waiting => &self.waiting,
            Doing::Reading => &self.reading,
            Doing::Writing => &self.writing,
        }
    }
}
