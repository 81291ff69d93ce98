//! `user`: a process that root started goes on as somebody else.
//!
//! Two of root's rights stay, because one process is here master and worker: to listen on ports
//! below 1024 (`CAP_NET_BIND_SERVICE`) and to read what root may read (`CAP_DAC_READ_SEARCH`):
//! a reload needs both, for new `listen`s and for renewed keys. To be called before any thread is
//! made: the system keeps rights by thread.

use super::places::USERS;
use nix::unistd::{Group, User, initgroups, setgid, setuid};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities, set_keep_capabilities};
use std::ffi::CString;
use std::os::unix::fs::fchown;

/// Whoever the process becomes.
#[derive(Debug)]
pub(super) struct Becomes {
    user: User,
    group: nix::unistd::Gid,
}

impl Becomes {
    /// Looks the names up; `None` for a process that root did not start, which stays who it is.
    ///
    /// # Errors
    /// nginx's words.
    pub(super) fn find(
        configured: Option<&(String, Option<String>)>,
    ) -> Result<Option<Self>, String> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let user = match configured {
            Some((name, _)) => {
                named(name)?.ok_or_else(|| format!("getpwnam(\"{name}\") failed"))?
            }
            None => {
                let found = USERS.iter().find_map(|name| named(name).ok().flatten());
                found.ok_or_else(|| format!("getpwnam(\"{}\") failed", USERS[0]))?
            }
        };
        let group = match configured.and_then(|(_, group)| group.as_ref()) {
            Some(name) => Group::from_name(name)
                .ok()
                .flatten()
                .map(|group| group.gid)
                .ok_or_else(|| format!("getgrnam(\"{name}\") failed"))?,
            None => user.gid,
        };
        Ok(Some(Self { user, group }))
    }

    /// Gives a file to it, so that it can open it again.
    pub(super) fn own(&self, file: &std::fs::File) {
        // A file it may not have is written to as it is open.
        let _ = fchown(file, Some(self.user.uid.as_raw()), None);
    }

    /// Becomes it.
    ///
    /// # Errors
    /// nginx's words.
    pub(super) fn become_it(&self) -> Result<(), String> {
        let name = CString::new(self.user.name.as_str()).unwrap_or_default();
        let failed = |call: &str, error: std::io::Error| {
            format!("{call} failed ({})", super::os_text(&error))
        };
        let (uid, gid) = (self.user.uid, self.group);
        setgid(gid).map_err(|e| failed(&format!("setgid({gid})"), e.into()))?;
        initgroups(&name, gid)
            .map_err(|e| failed(&format!("initgroups({}, {gid})", self.user.name), e.into()))?;
        if uid.is_root() {
            return Ok(());
        }
        // Where root is not almighty (a container) it may have neither right to keep.
        let kept = set_keep_capabilities(true).is_ok();
        setuid(uid).map_err(|e| failed(&format!("setuid({uid})"), e.into()))?;
        if kept {
            keep();
        }
        Ok(())
    }
}

fn keep() {
    let had = rustix::thread::capabilities(None).map(|sets| sets.permitted);
    let wanted = CapabilitySet::NET_BIND_SERVICE | CapabilitySet::DAC_READ_SEARCH;
    let rights = wanted & had.unwrap_or(CapabilitySet::empty());
    let sets = CapabilitySets {
        effective: rights,
        permitted: rights,
        inheritable: CapabilitySet::empty(),
    };
    if let Err(error) = set_capabilities(None, sets) {
        tracing::warn!(%error, "a reload will not be able to listen below port 1024");
    }
}

fn named(name: &str) -> Result<Option<User>, String> {
    User::from_name(name).map_err(|error| {
        let why = super::os_text(&error.into());
        format!("getpwnam(\"{name}\") failed ({why})")
    })
}
