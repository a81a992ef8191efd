//! Everything that the sources have said, indexed by what depends on it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Change, EndpointSlice, NodeObject, ObjectName, Service};

/// All Services and EndpointSlices known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct World {
    services: BTreeMap<ObjectName, Box<Service>>,
    slices: BTreeMap<ObjectName, Box<EndpointSlice>>,
    /// Names of the slices of each Service, whether it exists or not.
    slices_of: BTreeMap<ObjectName, BTreeSet<ObjectName>>,
    node: Option<NodeObject>,
}

/// What must be compiled anew after a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Affected {
    /// Nothing: the change said what was known.
    Nothing,
    /// These Services, one or two.
    Services(Vec<ObjectName>),
    /// Every Service.
    Everything,
}

impl World {
    /// Takes a change in, and says what must be compiled anew because of it.
    pub fn apply(&mut self, change: Change) -> Affected {
        match change {
            Change::Service(service) => {
                let name = service.name.clone();
                if self.services.get(&name) == Some(&service) {
                    return Affected::Nothing;
                }
                self.services.insert(name.clone(), service);
                Affected::Services(vec![name])
            }
            Change::ServiceGone(name) => match self.services.remove(&name) {
                Some(_) => Affected::Services(vec![name]),
                None => Affected::Nothing,
            },
            Change::Slice(slice) => {
                let (name, service) = (slice.name.clone(), self.known(slice.service_name()));
                let before = self.slices.insert(name.clone(), slice);
                if before.as_ref() == self.slices.get(&name) {
                    return Affected::Nothing;
                }
                let mut affected = vec![service.clone()];
                if let Some(old) = before.map(|slice| slice.service_name()).filter(|old| *old != service) {
                    self.unlink(&old, &name);
                    affected.push(old);
                }
                self.slices_of.entry(service).or_default().insert(name);
                Affected::Services(affected)
            }
            Change::SliceGone(name) => match self.slices.remove(&name) {
                Some(slice) => {
                    let service = slice.service_name();
                    self.unlink(&service, &name);
                    Affected::Services(vec![service])
                }
                None => Affected::Nothing,
            },
            Change::Node(node) => {
                // No Service is served otherwise because the node is about to go.
                let before = self.node.replace(node.clone());
                let before = before.map(|before| NodeObject { is_leaving: node.is_leaving, ..before });
                if before == Some(node) { Affected::Nothing } else { Affected::Everything }
            }
        }
    }

    /// The Service of a name.
    pub fn service(&self, name: &ObjectName) -> Option<&Service> {
        self.services.get(name).map(Box::as_ref)
    }

    /// All Services, by name.
    pub fn services(&self) -> impl Iterator<Item = &Service> {
        self.services.values().map(Box::as_ref)
    }

    /// The slices of a Service, by name.
    pub fn slices_of(&self, service: &ObjectName) -> Vec<&EndpointSlice> {
        self.slices_of
            .get(service)
            .into_iter()
            .flatten()
            .filter_map(|name| self.slices.get(name))
            .map(Box::as_ref)
            .collect()
    }

    /// All EndpointSlices, by name.
    pub fn slices(&self) -> impl Iterator<Item = &EndpointSlice> {
        self.slices.values().map(Box::as_ref)
    }

    /// What the Node object of this node says; `None` where no source has seen it.
    pub fn node(&self) -> Option<&NodeObject> {
        self.node.as_ref()
    }

    /// The same name, as its Service has it where there is one: one text for both.
    fn known(&self, name: ObjectName) -> ObjectName {
        self.services.get_key_value(&name).map_or(name, |(known, _)| known.clone())
    }

    fn unlink(&mut self, service: &ObjectName, slice: &ObjectName) {
        if let Some(names) = self.slices_of.get_mut(service) {
            names.remove(slice);
            if names.is_empty() {
                self.slices_of.remove(service);
            }
        }
    }
}
