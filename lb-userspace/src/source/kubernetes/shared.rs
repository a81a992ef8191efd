//! One text for what many endpoints say: the names of nodes and zones are few, and endpoints are many.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

use crate::model::{Endpoint, Hints};

/// What has been said so far, as long as something says it still.
#[derive(Debug, Default)]
pub(super) struct Shared {
    nodes: Known<str>,
    hints: Known<Hints>,
}

impl Shared {
    /// Lets an endpoint share what others say too.
    pub(super) fn share(&mut self, endpoint: &mut Endpoint) {
        endpoint.node = endpoint.node.take().map(|node| self.nodes.one(node));
        endpoint.hints = endpoint.hints.take().map(|hints| self.hints.one(hints));
    }
}

/// Values that are shared.
#[derive(Debug)]
struct Known<T: ?Sized> {
    values: HashSet<Arc<T>>,
    /// With so many it is time to look for those that nobody has any more.
    limit: usize,
}

impl<T: ?Sized> Default for Known<T> {
    fn default() -> Self {
        Self { values: HashSet::new(), limit: 1024 }
    }
}

impl<T: ?Sized + Eq + Hash> Known<T> {
    /// The one that there is of these.
    fn one(&mut self, value: Arc<T>) -> Arc<T> {
        if let Some(known) = self.values.get(&value) {
            return Arc::clone(known);
        }
        if self.values.len() >= self.limit {
            self.values.retain(|value| Arc::strong_count(value) > 1);
            self.limit = (self.values.len() * 2).max(1024);
        }
        self.values.insert(Arc::clone(&value));
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_twice_is_one_and_what_nobody_says_any_more_is_forgotten() {
        let mut known = Known::<str>::default();
        let first = known.one("node-1".into());
        assert!(Arc::ptr_eq(&first, &known.one("node-1".into())));
        for number in 0..100_000 {
            known.one(format!("node-of-{number}").into());
        }
        assert!(known.values.len() <= 1024, "{}", known.values.len());
        assert!(Arc::ptr_eq(&first, &known.one("node-1".into())));
    }
}
