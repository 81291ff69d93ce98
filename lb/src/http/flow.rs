//! Where a request stands on its way through the phases, and the variables it has.
//!
//! Why locks for the variables: a value is worked out when it is first asked for, from places
//! that hold the request shared; one request is one task, so nothing ever waits for them.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use weir_conf::nginx::Regex;
use weir_conf::nginx::regex::Captures;

/// How often a request may be sent elsewhere inside: nginx's number.
const CHANGES_MAX: u8 = 11;

/// One request's way.
#[derive(Debug)]
pub(crate) struct Flow {
    /// `$uri`, if it is not the path of the request line as it stands.
    pub(crate) path: Option<Vec<u8>>,
    /// `$args`, if they are not the request line's.
    pub(crate) args: Option<Vec<u8>>,
    /// Whether the path is no longer what the client asked for.
    pub(crate) rewritten: bool,
    /// Whether the path was changed since a location was last looked for.
    pub(crate) changed: bool,
    /// Whether it came here from inside.
    pub(crate) internal: bool,
    /// How often it may still be sent elsewhere.
    pub(crate) changes_left: u8,
    /// Whether an error page is on its way.
    pub(crate) error_page: bool,
    /// The status the answer gets, whoever gives it; zero for its own.
    pub(crate) err_status: u16,
    /// Whether it has become a GET, as error pages are fetched.
    pub(crate) as_get: bool,
    /// Whether the path of an aliased location is put behind its directory.
    pub(crate) add_path: bool,
    /// `WWW-Authenticate` for a 401.
    pub(crate) challenges: Vec<String>,
    /// `$limit_rate`, in bytes a second, if it was set or is known; zero is no limit.
    pub(crate) limit_rate: Option<u64>,
    id: OnceLock<String>,
    slots: Mutex<Vec<Option<Arc<[u8]>>>>,
    captures: Mutex<Option<Captures>>,
}

impl Default for Flow {
    fn default() -> Self {
        Self {
            path: None,
            args: None,
            rewritten: false,
            changed: false,
            internal: false,
            changes_left: CHANGES_MAX,
            error_page: false,
            err_status: 0,
            as_get: false,
            add_path: false,
            challenges: Vec::new(),
            limit_rate: None,
            id: OnceLock::new(),
            slots: Mutex::default(),
            captures: Mutex::default(),
        }
    }
}

impl Flow {
    /// The same way once more, for a request that is made of this one.
    pub(crate) fn again(&self) -> Self {
        Self {
            path: self.path.clone(),
            args: self.args.clone(),
            rewritten: self.rewritten,
            changed: self.changed,
            internal: self.internal,
            changes_left: self.changes_left,
            error_page: self.error_page,
            err_status: 0,
            as_get: self.as_get,
            add_path: self.add_path,
            challenges: Vec::new(),
            limit_rate: None,
            id: self.id.clone(),
            slots: Mutex::new(lock(&self.slots).clone()),
            captures: Mutex::new(lock(&self.captures).clone()),
        }
    }

    /// The value of a variable of the file's, if it has one.
    pub(crate) fn slot(&self, place: usize) -> Option<Arc<[u8]>> {
        lock(&self.slots).get(place).cloned().flatten()
    }

    /// Gives a variable of the file's its value.
    pub(crate) fn set_slot(&self, place: usize, value: &[u8]) {
        let mut slots = lock(&self.slots);
        if slots.len() <= place {
            slots.resize(place + 1, None);
        }
        if let Some(slot) = slots.get_mut(place) {
            *slot = Some(value.into());
        }
    }

    /// All values of variables of the file's.
    pub(crate) fn slots(&self) -> Vec<Option<Arc<[u8]>>> {
        lock(&self.slots).clone()
    }

    /// Begins with these values.
    pub(crate) fn take_slots(&self, slots: Vec<Option<Arc<[u8]>>>) {
        *lock(&self.slots) = slots;
    }

    /// What group `n` of the last expression that matched took in.
    pub(crate) fn capture(&self, n: u8, out: &mut Vec<u8>) {
        if let Some(captures) = &*lock(&self.captures) {
            out.extend_from_slice(captures.get(usize::from(n)).unwrap_or_default());
        }
    }

    /// Whether an expression matches; if so its groups become `$1` and on, and the named ones
    /// variables, whose places `place` knows.
    pub(crate) fn matched(
        &self,
        regex: &Regex,
        subject: &[u8],
        place: impl Fn(&str) -> Option<usize>,
    ) -> bool {
        let Some(captures) = regex.captures(subject) else {
            return false;
        };
        for (group, name) in regex.names() {
            if let Some(place) = place(&name.to_ascii_lowercase()) {
                self.set_slot(place, captures.get(*group).unwrap_or_default());
            }
        }
        *lock(&self.captures) = Some(captures);
        true
    }

    /// `$request_id`
    pub(crate) fn id(&self) -> &str {
        self.id
            .get_or_init(|| format!("{:032x}", fastrand::u128(..)))
    }

    /// Counts a change of place. False if there were too many.
    pub(crate) fn change(&mut self) -> bool {
        self.changes_left = self.changes_left.saturating_sub(1);
        self.changes_left > 0
    }
}

/// Nothing that holds one of these locks can panic half-way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
