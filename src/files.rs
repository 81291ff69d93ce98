//! How many files the process may have open; each connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What one viewer may take in one process: both sides of the balancer, and the edge's.
const FILES_PER_VIEWER: u64 = 3;

/// Raises the soft limit to the hard one, and warns when that is too few. Shells and systemd start
/// programs with a soft limit of 1024, for the sake of old ones that use `select`: with it some 340
/// idle clients would keep out everybody else, and every health check with them.
pub(crate) fn raise_limit(connections_max: u32) {
    let files = raise();
    let wanted = u64::from(connections_max).saturating_mul(FILES_PER_VIEWER);
    if let Some(files) = files
        && files < wanted
    {
        tracing::warn!(
            files,
            wanted,
            "http.max.connections is more than the limit on open files allows (ulimit -n)"
        );
    }
}

/// [`set`]s the limit if the file says one, else [`raise`]s it.
pub(crate) fn limit(files: Option<u64>) {
    match files {
        Some(files) => set(files),
        None => {
            raise();
        }
    }
}

/// `worker_rlimit_nofile`: sets the soft limit, and the hard one with it if that is lower, which
/// only root may. As nginx, a failure is told of and lived with.
fn set(files: u64) {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let wanted = Rlimit {
        current: Some(files),
        maximum: maximum.map(|maximum| maximum.max(files)),
    };
    if let Err(error) = setrlimit(Resource::Nofile, wanted) {
        tracing::error!(files, %error, "setrlimit(RLIMIT_NOFILE) failed");
    }
}

/// Raises the soft limit as far as it goes; gives what it is then, unless there is none.
pub(crate) fn raise() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, "the limit on open files cannot be raised");
        }
    }
    getrlimit(Resource::Nofile).current
}
