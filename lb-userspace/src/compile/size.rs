//! How large a Service is, and may become: what it is multiplied out to must not fill the memory of every node.
//!
//! An API server holds objects of 1.5 MB: a Service of 20,000 ports and a slice that has all of them for 1,000
//! endpoints are two objects, and 20,000,000 backends.

use std::collections::BTreeMap;

use lb_common::Proto;

use crate::model::{EndpointSlice, Family, Service, ServicePort};

/// The most backends of one Service over all of its ports: four times as many as all Services of a node have
/// places for, unless made larger, and some 100 MB while it is compiled.
pub const MOST_BACKENDS: usize = 1 << 20;

/// The most pairs of a port of the Service and a port of its slices, which are compared by their names: a second's
/// work or less.
pub const MOST_PAIRS: usize = 1 << 26;

/// Why a Service is too large to be compiled; `slices` are its own.
pub fn excess(service: &Service, slices: &[&EndpointSlice]) -> Option<String> {
    let ports = service.ports.len();
    let of_slices: usize = slices.iter().map(|slice| slice.ports.len()).sum();
    if ports.saturating_mul(of_slices) > MOST_PAIRS {
        return Some(format!(
            "its {ports} ports and the {of_slices} of its slices are too many to be matched: make several Services of it"
        ));
    }
    let at_most = |slice: &&EndpointSlice| {
        slice.ports.len().saturating_mul(slice.endpoints.len()).saturating_mul(ports)
    };
    if slices.iter().map(at_most).fold(0, usize::saturating_add) <= MOST_BACKENDS {
        return None;
    }
    let backends = backends(service, slices);
    (backends > MOST_BACKENDS).then(|| {
        format!(
            "its ports have {backends} endpoints together, more than {MOST_BACKENDS}: make several Services of it"
        )
    })
}

/// What a Service takes while it is compiled, whether there is room for it in the maps or not: its ports and
/// their backends, of each family.
pub fn weight(service: &Service, slices: &[&EndpointSlice]) -> usize {
    let families = Family::ALL.into_iter().filter(|family| service.cluster_ip(*family).is_some()).count();
    backends(service, slices).saturating_add(service.ports.len().saturating_mul(families))
}

/// Those of all ports, one that several slices have counted in each.
fn backends(service: &Service, slices: &[&EndpointSlice]) -> usize {
    let is_served = |slice: &&&EndpointSlice| service.cluster_ip(slice.family).is_some();
    let mut of_port: BTreeMap<(&str, Proto), usize> = BTreeMap::new();
    for slice in slices.iter().filter(is_served) {
        for port in &slice.ports {
            let count = of_port.entry((&port.name, port.protocol)).or_default();
            *count = count.saturating_add(slice.endpoints.len());
        }
    }
    let found = |port: &ServicePort| of_port.get(&(port.name.as_str(), port.protocol)).copied();
    service.ports.iter().filter_map(found).fold(0, usize::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::compile;
    use crate::compile::tests::objects::{node, remote, service, slice};
    use crate::model::SlicePort;

    /// A Service and its slice with so many ports, and so many endpoints.
    fn wide(ports: u16, of_slice: u16, endpoints: u16) -> (Service, EndpointSlice) {
        let (mut service, mut slice) = (service(), slice(vec![]));
        let (port, slice_port) = (service.ports[0].clone(), slice.ports[0].clone());
        let name = |number: u16| format!("p{number}");
        service.ports = (1..=ports)
            .map(|number| ServicePort { name: name(number), port: number, ..port.clone() })
            .collect();
        slice.ports = (1..=of_slice)
            .map(|number| SlicePort { name: name(number), port: number, ..slice_port.clone() })
            .collect();
        slice.endpoints = (0..endpoints)
            .map(|number| remote(&format!("10.9.{}.{}", number / 250, number % 250 + 1)))
            .collect();
        (service, slice)
    }

    #[test]
    fn a_slice_of_a_thousand_endpoints_and_a_hundred_ports_is_no_excess_and_is_compiled_whole() {
        let (service, slice) = wide(100, 100, 1000);
        assert_eq!(excess(&service, &[&slice]), None);
        let tables = compile(&service, &[&slice], &node());
        assert_eq!(tables.iter().map(|table| table.backends.len()).sum::<usize>(), 100_000);
        assert_eq!(weight(&service, &[&slice]), 100_000 + tables.len());
    }

    #[test]
    fn two_objects_that_multiply_out_to_millions_are_refused_before_they_are() {
        let (service, slice) = wide(2000, 2000, 1000);
        let why = excess(&service, &[&slice]).expect("too large");
        assert!(why.starts_with("its ports have 2000000 endpoints together"), "{why}");
        let (service, slice) = wide(20_000, 20_000, 1);
        let why = excess(&service, &[&slice]).expect("too large");
        assert!(why.starts_with("its 20000 ports and the 20000 of its slices are too many"), "{why}");
    }

    #[test]
    fn a_hundred_thousand_ports_over_slices_that_nobody_asks_for_are_no_excess() {
        let (service, slice) = wide(1, 10_000, 1000);
        assert_eq!(excess(&service, &[&slice; 10]), None);
        assert_eq!(compile(&service, &[&slice; 10], &node())[0].backends.len(), 1000);
    }
}
