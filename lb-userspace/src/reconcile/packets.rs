//! What only the packet path needs: what the node is, and bits of the filter that nothing stands for.

use std::collections::BTreeSet;

use ipnet::IpNet;
use lb_common::{Addr, FilterBit, NodeConfig, RangeSet};

use super::state::State;
use super::{Op, Outcome, Range, Reconciler, Store};

/// What the packet path is to know of the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodePath {
    /// `NODE`
    pub config: NodeConfig,
    /// Every address that the node may masquerade with.
    pub addresses: BTreeSet<Addr>,
    /// Networks of the cluster, and devices of the node.
    pub ranges: BTreeSet<Range>,
    /// Those of them that ClusterIPs are from.
    pub service_cidrs: Vec<IpNet>,
}

impl NodePath {
    /// By which answers to masqueraded packets are found: by where they go to.
    fn bits(&self) -> BTreeSet<FilterBit> {
        self.addresses.iter().copied().map(FilterBit::node_address).chain(self.config.port_bits()).collect()
    }
}

impl<S: Store> Reconciler<S> {
    /// Tells the packet path what the node is.
    pub fn put_node(&mut self, node: NodePath) -> Outcome {
        let mut outcome = Outcome::default();
        if self.state.node.as_ref() == Some(&node) {
            // Another one may have waited to be told.
            self.stalled.node = None;
            return outcome;
        }
        self.tell_node(node, &mut outcome);
        outcome
    }

    /// The networks of a set as they are in the maps, maybe from an earlier run.
    pub fn networks(&self, set: RangeSet) -> Vec<IpNet> {
        self.state.ranges.networks(set)
    }

    pub(super) fn run_node(&mut self, node: NodePath, outcome: &mut Outcome) {
        let ops = self.state.plan_node(node);
        self.run(ops, outcome);
    }

    /// Bits of the filter that have stood for nothing in the maps since the call before; flows may still need
    /// them.
    pub fn idle_bits(&mut self) -> BTreeSet<FilterBit> {
        self.state.filter.ask_idle()
    }

    /// Clears bits of which the caller has seen, since [`Reconciler::idle_bits`] gave them, that no flow needs
    /// them; those that have stood for something meanwhile stay.
    pub fn clear_bits(&mut self, bits: impl IntoIterator<Item = FilterBit>) -> Outcome {
        if self.is_stalled() {
            return Outcome::default();
        }
        let filter = &self.state.filter;
        let ops = bits.into_iter().filter(|bit| filter.may_clear(*bit)).map(Op::ClearFilter).collect();
        let mut outcome = Outcome::default();
        self.run(ops, &mut outcome);
        outcome
    }
}

impl State {
    /// Bits and ranges before the flags that say there are any; what is not wanted goes last.
    fn plan_node(&mut self, node: NodePath) -> Vec<Op> {
        let before = self.node.take();
        node.bits().into_iter().for_each(|bit| self.filter.own(bit));
        before.iter().flat_map(NodePath::bits).for_each(|bit| self.filter.disown(bit));
        self.ranges.change(before.as_ref().map_or(&BTreeSet::new(), |before| &before.ranges), &node.ranges);
        let (put, remove) = self.ranges.plan();
        let mut ops = self.filter.wanted();
        ops.extend(put);
        ops.push(Op::PutNode(node.config));
        // Until the first complete picture, what is there may be what a Service wants.
        ops.extend(remove.into_iter().filter(|_| before.is_some()));
        self.node = Some(node);
        ops
    }
}
