//! What is to be looked for, however much that becomes: backends by id and generation, or every socket.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use lb_common::BackendId;

use crate::reconcile::GoneBackend;

/// So many backends are looked for by name: 1 MB. Beyond that each socket is asked, which takes no memory.
pub(super) const MOST: usize = 1 << 14;

/// Backends that are gone.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    backends: BTreeMap<(BackendId, u32), GoneBackend>,
    all: bool,
}

impl Wanted {
    /// Whatever is gone: each socket is asked.
    pub(super) fn all() -> Self {
        Self { all: true, ..Self::default() }
    }

    pub(super) fn add(&mut self, backends: impl IntoIterator<Item = GoneBackend>) {
        for gone in backends {
            if !self.all {
                self.backends.insert((gone.id, gone.backend.generation()), gone);
            }
            if self.backends.len() > MOST {
                self.backends.clear();
                self.all = true;
            }
        }
    }

    /// What the other wants, too.
    pub(super) fn merge(&mut self, other: Self) {
        if other.all {
            *self = other;
        } else {
            self.add(other.backends.into_values());
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.all && self.backends.is_empty()
    }

    /// Whether each socket is to be asked.
    pub(super) fn is_all(&self) -> bool {
        self.all
    }

    /// Those that are looked for by name.
    pub(super) fn backends(&self) -> impl ExactSizeIterator<Item = &GoneBackend> {
        self.backends.values()
    }
}

/// Where the engine leaves what it wants, and never waits.
#[derive(Debug)]
pub(super) struct Mailbox {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    wanted: Wanted,
    is_closed: bool,
}

impl Mailbox {
    pub(super) fn with(wanted: Wanted) -> Self {
        Self { state: Mutex::new(State { wanted, is_closed: false }), changed: Condvar::new() }
    }

    pub(super) fn put(&self, backends: impl IntoIterator<Item = GoneBackend>) {
        self.lock().wanted.add(backends);
        self.changed.notify_one();
    }

    /// Nobody will put anything any more.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_one();
    }

    /// What is wanted, as soon as something is, or nothing at the time given; `None` when it is closed.
    pub(super) fn take(&self, until: Option<Instant>) -> Option<Wanted> {
        let mut state = self.lock();
        while state.wanted.is_empty() && !state.is_closed {
            state = match until.map(|until| until.saturating_duration_since(Instant::now())) {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(wait) if wait.is_zero() => break,
                Some(wait) => {
                    self.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        (!state.is_closed).then(|| std::mem::take(&mut state.wanted))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use lb_common::{Addr, Backend, BackendFlags, Port, Proto, ServiceId};

    use super::*;

    fn gone(id: u32, generation: u32) -> GoneBackend {
        let addr = Addr::from(std::net::IpAddr::from([10, 244, 1, 11]));
        let backend = Backend::new(addr, Port::new(53), BackendFlags::GONE, generation, ServiceId::NONE);
        GoneBackend { id: BackendId::from_number(id), backend, proto: Proto::UDP }
    }

    #[test]
    fn a_backend_that_is_told_again_is_looked_for_once_and_the_next_owner_of_its_id_too() {
        let mut wanted = Wanted::default();
        wanted.add([gone(1, 0), gone(1, 0), gone(1, 1), gone(2, 0)]);
        assert_eq!((wanted.backends().len(), wanted.is_all()), (3, false));
    }

    #[test]
    fn beyond_so_many_backends_each_socket_is_asked_and_none_is_remembered() {
        let mut wanted = Wanted::default();
        let most = u32::try_from(MOST).expect("a number");
        wanted.add((0..most).map(|id| gone(id, 0)));
        assert_eq!((wanted.backends().len(), wanted.is_all()), (MOST, false));
        wanted.add([gone(0, 0)]);
        assert!(!wanted.is_all(), "it was among them");
        wanted.add((most..most * 3).map(|id| gone(id, 0)));
        assert_eq!((wanted.backends().len(), wanted.is_all(), wanted.is_empty()), (0, true, false));
        let mut other = Wanted::default();
        other.add([gone(1, 0)]);
        other.merge(wanted);
        assert_eq!((other.backends().len(), other.is_all()), (0, true));
    }

    #[test]
    fn what_was_put_is_taken_at_once_and_nothing_at_the_time_given() {
        let mailbox = Mailbox::with(Wanted::all());
        mailbox.put([gone(1, 0)]);
        assert!(mailbox.take(None).expect("open").is_all());
        mailbox.put([gone(1, 0)]);
        assert_eq!(mailbox.take(None).expect("open").backends().len(), 1);
        assert!(mailbox.take(Some(Instant::now())).expect("open").is_empty());
        mailbox.close();
        assert!(mailbox.take(None).is_none());
    }
}
