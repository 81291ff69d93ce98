//! How many fetches are under way at each origin.
//!
//! Limits: so many an origin; no more origins are listed than have fetches under way.

use crate::fetch::FetchError;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts fetches; a [`Place`] is one of them.
#[derive(Debug)]
pub(crate) struct Places {
    per_origin_max: usize,
    taken: Taken,
}

type Taken = Arc<Mutex<HashMap<String, usize>>>;

/// A fetch's place; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    taken: Taken,
    origin: String,
}

impl Places {
    pub(crate) fn new(per_origin_max: usize) -> Self {
        Self {
            per_origin_max,
            taken: Arc::default(),
        }
    }

    /// A place at `origin`.
    ///
    /// # Errors
    /// [`FetchError::Busy`] when it has no more.
    pub(crate) fn take(&self, origin: &str) -> Result<Place, FetchError> {
        let mut taken = lock(&self.taken);
        let count = taken.get(origin).copied().unwrap_or(0);
        if count >= self.per_origin_max {
            return Err(FetchError::Busy {
                what: "fetches at one origin",
                limit: self.per_origin_max,
            });
        }
        taken.insert(origin.to_owned(), count + 1);
        Ok(Place {
            taken: Arc::clone(&self.taken),
            origin: origin.to_owned(),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        if let Some(count) = taken.get_mut(&self.origin) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.origin);
            }
        }
    }
}

fn lock(taken: &Taken) -> MutexGuard<'_, HashMap<String, usize>> {
    // Whole at every unlock, so a poisoned table is as good as any.
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origins_places_are_its_own_and_are_given_back() {
        let places = Places::new(2);
        let first = places.take("a").unwrap();
        let second = places.take("a").unwrap();
        let refused = places.take("a").unwrap_err();
        assert!(matches!(refused, FetchError::Busy { limit: 2, .. }));
        let other = places.take("b").unwrap();
        drop(first);
        let third = places.take("a").unwrap();
        drop((second, third, other));
        assert!(lock(&places.taken).is_empty());
    }
}
