//! What a Service port is made of in the maps, and the writes that build it.

use std::collections::{BTreeMap, BTreeSet};

use lb_common::{Backend, BackendFlags, BackendId, List, RangeSet, ServiceId, ServiceLabel};

use super::state::Group;
use super::{Op, Range};
use crate::tables::{BackendKey, BackendState, ServiceTable};

/// Backends that are new or may do more than before, then slots, the label, and last the word.
pub(super) fn write_build(group: &Group, old: Option<&Group>, build: &mut Vec<Op>) {
    for (key, (id, backend)) in &group.backends {
        match old.and_then(|old| old.backends.get(key)) {
            Some((_, before)) if before == backend => {}
            // What it may no longer do is taken from it when the lists have changed: see `give_up`.
            Some((_, before)) => {
                let flags = before.flags().with(backend.flags());
                if flags != before.flags() {
                    build.push(Op::PutBackend(*id, backend.with_flags(flags)));
                }
            }
            None => build.push(Op::PutBackend(*id, *backend)),
        }
    }
    let before = old.map_or([List::EMPTY; 2], |old| [old.service.cluster(), old.service.local()]);
    let words = [group.service.cluster(), group.service.local()];
    for ((word, before), ids) in words.into_iter().zip(before).zip(&group.lists) {
        if word != before && !word.is_empty() {
            build.push(Op::PutSlots(word.first(), ids.clone()));
        }
    }
    if old.is_none_or(|old| old.label != group.label) {
        build.push(Op::PutLabel(group.id, Box::new(group.label)));
    }
    if old.is_none_or(|old| old.service != group.service) {
        build.push(Op::PutService(group.id, group.service));
    }
}

/// The ids of the backends with a flag, in order of their addresses.
pub(super) fn members(
    backends: &BTreeMap<BackendKey, (BackendId, Backend)>,
    flag: BackendFlags,
) -> Vec<BackendId> {
    backends.values().filter(|(_, backend)| backend.flags().has(flag)).map(|(id, _)| *id).collect()
}

pub(super) fn flags(state: BackendState) -> BackendFlags {
    BackendFlags::empty()
        .with_if(state.in_cluster, BackendFlags::IN_CLUSTER)
        .with_if(state.in_local, BackendFlags::IN_LOCAL)
        .with_if(state.on_node, BackendFlags::ON_NODE)
}

/// The source ranges of a Service port; none where anybody may dial.
pub(super) fn ranges(table: &ServiceTable, id: ServiceId) -> BTreeSet<Range> {
    let nets = table.source_ranges.iter().flatten();
    nets.map(|net| Range::new(RangeSet::sources(id), net)).collect()
}

pub(super) fn label(table: &ServiceTable) -> ServiceLabel {
    let key = &table.key;
    ServiceLabel::new(
        &key.service.namespace,
        &key.service.name,
        &key.port_name,
        key.protocol,
        key.family.number(),
    )
    .with_ports(table.port, &table.target_port, table.node_port)
    .with_kind(table.kind.number())
}
