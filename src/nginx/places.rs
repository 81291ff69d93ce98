//! Where things are unless the command line or the file says otherwise: Debian's places, so that
//! its unit files, logrotate and certbot find what they look for. This is the one home of them.

use super::args::Args;
use std::path::{Path, PathBuf};

const PREFIX: &str = "/usr/share/nginx/";
const FILE: &str = "/etc/nginx/nginx.conf";
const PID: &str = "/run/nginx.pid";
const ERROR_LOG: &str = "/var/log/nginx/error.log";
/// `access_log` of a file that names none.
pub(super) const ACCESS_LOG: &str = "/var/log/nginx/access.log";

/// Who a process started by root becomes, if the file does not say: the first that there is.
pub(super) const USERS: [&str; 2] = ["www-data", "nobody"];

/// The places of one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Places {
    /// What relative paths are relative to, with a slash at its end.
    pub(super) prefix: String,
    /// The configuration file.
    pub(super) file: PathBuf,
    /// Where errors go until the file is read, and after it if it does not say; empty is stderr.
    pub(super) error_log: String,
}

impl Places {
    pub(super) fn new(args: &Args) -> Self {
        let mut prefix = args.prefix.clone().unwrap_or_else(|| PREFIX.to_owned());
        if !prefix.ends_with('/') {
            prefix.push('/');
        }
        let file = args.file.as_deref().unwrap_or(FILE);
        let error_log = args.error_log.as_deref().unwrap_or(ERROR_LOG);
        let mut places = Self {
            file: PathBuf::new(),
            error_log: String::new(),
            prefix,
        };
        places.file = places.full(file);
        if error_log != "stderr" {
            places.error_log = error_log.to_owned();
        }
        places
    }

    /// A path of the file as the system takes it.
    pub(super) fn full(&self, path: &str) -> PathBuf {
        Path::new(&self.prefix).join(path)
    }

    /// The pid file; `None` if there shall be none.
    pub(super) fn pid(&self, configured: Option<&str>) -> Option<PathBuf> {
        match configured {
            Some("") => None,
            other => Some(self.full(other.unwrap_or(PID))),
        }
    }

    pub(super) fn usage() -> String {
        format!(
            "Usage: nginx [-?hvVtTq] [-s signal] [-p prefix]\n             \
             [-e filename] [-c filename] [-g directives]\n\n\
             Options:\n  \
             -?,-h         : this help\n  \
             -v            : show version and exit\n  \
             -V            : show version and configure options then exit\n  \
             -t            : test configuration and exit\n  \
             -T            : test configuration, dump it and exit\n  \
             -q            : suppress non-error messages during configuration testing\n  \
             -s signal     : send signal to a master process: stop, quit, reopen, reload\n  \
             -p prefix     : set prefix path (default: {PREFIX})\n  \
             -e filename   : set error log file (default: {ERROR_LOG})\n  \
             -c filename   : set configuration file (default: {FILE})\n  \
             -g directives : set global directives out of configuration file\n"
        )
    }

    /// The places as nginx's `configure` was told them.
    pub(super) fn configured() -> String {
        format!(
            "--prefix={} --conf-path={FILE} --http-log-path={ACCESS_LOG} \
             --error-log-path={ERROR_LOG} --pid-path={PID}",
            PREFIX.trim_end_matches('/')
        )
    }
}
