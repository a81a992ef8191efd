//! How much all Services may come to together: each of them is bounded ([`crate::compile::size`]), and there may
//! be any number of them.

use std::collections::BTreeMap;

use crate::model::ObjectName;
use crate::reconcile::Capacity;

/// So many times what the maps have places for is compiled at most: what finds no room in a map waits as a table.
const TIMES: usize = 4;

/// What Services weigh, those that are compiled and those for which there is no room.
#[derive(Debug)]
pub(super) struct Room {
    most: usize,
    total: usize,
    compiled: BTreeMap<ObjectName, usize>,
    outside: BTreeMap<ObjectName, usize>,
}

impl Room {
    pub(super) fn new(capacity: Capacity) -> Self {
        let places = (capacity.backends as usize).saturating_add(capacity.services as usize);
        let most = places.saturating_mul(TIMES);
        Self { most, total: 0, compiled: BTreeMap::new(), outside: BTreeMap::new() }
    }

    /// Takes a Service out.
    pub(super) fn leave(&mut self, name: &ObjectName) {
        self.total -= self.compiled.remove(name).unwrap_or_default();
        self.outside.remove(name);
    }

    /// Puts a Service in that is not there; `Err` says why there is no room for it.
    pub(super) fn enter(&mut self, name: &ObjectName, weight: usize) -> Result<(), String> {
        if self.total.saturating_add(weight) > self.most {
            self.outside.insert(name.clone(), weight);
            return Err(format!(
                "it has {weight} ports and endpoints of ports, with which all Services have more than {}: \
                 `--map-size BACKENDS=` for more",
                self.most
            ));
        }
        self.total += weight;
        self.compiled.insert(name.clone(), weight);
        Ok(())
    }

    /// A Service for which there was no room and is now.
    pub(super) fn next(&self) -> Option<ObjectName> {
        let fits = |weight: usize| self.total.saturating_add(weight) <= self.most;
        self.outside.iter().find(|(_, weight)| fits(**weight)).map(|(name, _)| name.clone())
    }

    /// Whether a Service is compiled.
    pub(super) fn has(&self, name: &ObjectName) -> bool {
        self.compiled.contains_key(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_finds_no_room_is_the_next_when_others_leave_or_shrink() {
        let name = |name: &str| ObjectName::new("default", name);
        let (first, second) = (name("a"), name("b"));
        let mut room = Room::new(Capacity { services: 5, backends: 20, slots: 0 });
        assert_eq!(room.enter(&first, 60), Ok(()));
        let why = room.enter(&second, 41).expect_err("100 is the most");
        assert!(why.starts_with("it has 41 ports and endpoints of ports, with which all"), "{why}");
        assert_eq!((room.has(&first), room.has(&second), room.next()), (true, false, None));
        room.leave(&first);
        assert_eq!(room.enter(&first, 59), Ok(()));
        assert_eq!(room.next(), Some(second.clone()));
        room.leave(&second);
        assert_eq!((room.enter(&second, 41), room.next()), (Ok(()), None));
        room.leave(&first);
        room.leave(&second);
        assert_eq!(room.total, 0);
    }
}
