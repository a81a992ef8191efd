//! Filling the maps, as userspace does: the filter's bits before what they stand for, lists before their word.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result};
use aya::maps::lpm_trie::Key;
use aya::maps::{Array, HashMap, LpmTrie};
use lb_common::{
    Addr, Backend, BackendFlags, BackendId, FilterBit, Frontend as FrontendEntry, FrontendFlags, FrontendKey,
    FrontendKind, List, NodeConfig, NodeFlags, Port, PortRange, Proto, RangeKey, RangeSet,
    Service as ServiceEntry, ServiceId,
};

use super::words::Service;
use super::{Device, Lab, NODE_V4, NODE_V6, ok, stage};

/// Ports to masquerade with, as a node has them by default.
const PORTS: [PortRange; 2] = [PortRange::new(1_024, 29_999), PortRange::new(61_000, 65_535)];

impl Lab {
    /// Serves a Service port. Gives its id, and those of its backends in the order they were named.
    #[track_caller]
    pub fn serve(&mut self, service: &Service) -> (ServiceId, Vec<BackendId>) {
        ok(self.try_serve(service))
    }

    fn try_serve(&mut self, service: &Service) -> Result<(ServiceId, Vec<BackendId>)> {
        let id = self.new_service();
        let proto = service.frontends.first().map_or(Proto::TCP, |frontend| frontend.proto);
        let (mut backends, mut local) = (Vec::new(), Vec::new());
        for addr in &service.backends {
            let backend = self.new_backend();
            let mut flags = BackendFlags::IN_CLUSTER;
            if stage::is_on_node(*addr) {
                flags = flags.with(BackendFlags::ON_NODE).with(BackendFlags::IN_LOCAL);
                local.push(backend);
            }
            self.filter(FilterBit::backend(addr.ip().into(), Port::new(addr.port()), proto))?;
            self.set_backend(backend, *addr, flags, 1, id)?;
            backends.push(backend);
        }
        let lists = (self.list(&backends)?, self.list(&local)?);
        let entry = ServiceEntry::new(lists.0, lists.1, service.affinity_seconds, 1);
        self.array("SERVICES")?.set(id.number(), entry, 0).context("write SERVICES")?;
        for (addr, bits) in &service.sources {
            self.range(RangeSet::sources(id), *addr, *bits)?;
        }
        for frontend in &service.frontends {
            let port = Port::new(frontend.addr.port());
            let key = FrontendKey::new(frontend.addr.ip().into(), port, frontend.proto);
            self.front(key, FrontendEntry::new(id, frontend.flags))?;
        }
        Ok((id, backends))
    }

    /// An address of Services, whatever the port; `flags` may say that it is only for echo requests.
    #[track_caller]
    pub fn guard(&mut self, addr: IpAddr, flags: FrontendFlags) {
        let flags = FrontendFlags::of(FrontendKind::AddressGuard).with(flags);
        ok(self.front(FrontendKey::address_guard(addr.into()), FrontendEntry::new(ServiceId::NONE, flags)));
    }

    /// Another owner of a backend's id, or the same one with other flags.
    #[track_caller]
    pub fn replace_backend(
        &mut self,
        id: BackendId,
        addr: SocketAddr,
        flags: BackendFlags,
        generation: u32,
        service: ServiceId,
    ) {
        ok(self.set_backend(id, addr, flags, generation, service));
    }

    /// Another cluster list for a Service.
    #[track_caller]
    pub fn relist(&mut self, service: ServiceId, backends: &[BackendId]) {
        let list = ok(self.list(backends));
        let entry = ServiceEntry::new(list, List::EMPTY, 0, 1);
        ok(self.array("SERVICES").and_then(|mut services| Ok(services.set(service.number(), entry, 0)?)));
    }

    /// A frontend that no longer is.
    #[track_caller]
    pub fn remove_frontend(&mut self, addr: SocketAddr, proto: Proto) {
        let key = FrontendKey::new(addr.ip().into(), Port::new(addr.port()), proto);
        let map = ok(self.programs.ebpf.map_mut("FRONTENDS").context("no map FRONTENDS"));
        let mut map: HashMap<_, FrontendKey, FrontendEntry> = ok(map.try_into().context("its type"));
        ok(map.remove(&key).context("remove a frontend"));
    }

    /// What the node is and wants.
    #[track_caller]
    pub fn node(&mut self, flags: NodeFlags) {
        self.node_with_ports(flags, PORTS);
    }

    /// The same with its own ports to masquerade with.
    #[track_caller]
    pub fn node_with_ports(&mut self, flags: NodeFlags, ports: [PortRange; 2]) {
        let [v4, v6] = [IpAddr::from(NODE_V4), IpAddr::from(NODE_V6)].map(Addr::from);
        ok(self.set_node(NodeConfig::new(v4, v6, ports, flags)));
    }

    /// The node puts this address in place of clients of its family, and has none of the other.
    #[track_caller]
    pub fn masquerade_as(&mut self, addr: IpAddr, flags: NodeFlags) {
        let [v4, v6] =
            if addr.is_ipv4() { [addr.into(), Addr::UNSPECIFIED] } else { [Addr::UNSPECIFIED, addr.into()] };
        ok(self.set_node(NodeConfig::new(v4, v6, PORTS, flags)));
    }

    /// No address is known for the node's own any more.
    #[track_caller]
    pub fn disown_addresses(&mut self) {
        for addr in [IpAddr::from(NODE_V4), IpAddr::from(NODE_V6)] {
            let bit = FilterBit::node_address(addr.into());
            let mut filter = ok(self.array("FILTER"));
            let word: u64 = ok(filter.get(&bit.word(), 0).context("read FILTER"));
            ok(filter.set(bit.word(), word & !bit.mask(), 0).context("write FILTER"));
        }
    }

    fn set_node(&mut self, node: NodeConfig) -> Result<()> {
        node.port_bits().try_for_each(|bit| self.filter(bit))?;
        self.array("NODE")?.set(0, node, 0).context("write NODE")
    }

    /// What comes in by this device is seen by no program.
    #[track_caller]
    pub fn leave_alone(&mut self, device: Device) {
        let key = RangeKey::device(RangeSet::UNSEEN_DEVICES, self.devices[device as usize]);
        ok(self.put_range(&Key::new(RangeKey::FULL, key)));
    }

    /// A bit that something else has set.
    #[track_caller]
    pub fn set_by_chance(&mut self, bit: FilterBit) {
        ok(self.filter(bit));
    }

    pub(super) fn describe_node(&mut self) -> Result<()> {
        for addr in [IpAddr::from(NODE_V4), IpAddr::from(NODE_V6)] {
            self.filter(FilterBit::node_address(addr.into()))?;
        }
        self.node(NodeFlags::VIP_PING.with(NodeFlags::FIB_SOURCE));
        Ok(())
    }

    /// A network of a set.
    #[track_caller]
    pub fn add_range(&mut self, set: RangeSet, addr: IpAddr, bits: u8) {
        ok(self.range(set, addr, bits));
    }

    fn front(&mut self, key: FrontendKey, entry: FrontendEntry) -> Result<()> {
        self.filter(FilterBit::frontend(&key))?;
        let map = self.programs.ebpf.map_mut("FRONTENDS").context("no map FRONTENDS")?;
        let mut map: HashMap<_, FrontendKey, FrontendEntry> = map.try_into()?;
        map.insert(key, entry, 0).context("write FRONTENDS")
    }

    fn range(&mut self, set: RangeSet, addr: IpAddr, bits: u8) -> Result<()> {
        let addr = Addr::from(addr);
        self.put_range(&Key::new(RangeKey::prefix_len(addr, bits), RangeKey::new(set, addr)))
    }

    fn put_range(&mut self, key: &Key<RangeKey>) -> Result<()> {
        let map = self.programs.ebpf.map_mut("RANGES").context("no map RANGES")?;
        let mut map: LpmTrie<_, RangeKey, u32> = map.try_into()?;
        map.insert(key, 1, 0).context("write RANGES")
    }

    fn set_backend(
        &mut self,
        id: BackendId,
        addr: SocketAddr,
        flags: BackendFlags,
        generation: u32,
        service: ServiceId,
    ) -> Result<()> {
        let backend = Backend::new(addr.ip().into(), Port::new(addr.port()), flags, generation, service);
        self.array("BACKENDS")?.set(id.number(), backend, 0).context("write BACKENDS")
    }

    fn list(&mut self, backends: &[BackendId]) -> Result<List> {
        let first = self.next_slot;
        self.next_slot += backends.len() as u32;
        let mut slots = self.array("SLOTS")?;
        for (slot, backend) in (first..).zip(backends) {
            slots.set(slot, backend.number(), 0).context("write SLOTS")?;
        }
        Ok(List::new(first, backends.len() as u32, 1))
    }

    fn filter(&mut self, bit: FilterBit) -> Result<()> {
        self.filter_words.push(bit.word());
        let mut filter = self.array("FILTER")?;
        let word: u64 = filter.get(&bit.word(), 0).context("read FILTER")?;
        filter.set(bit.word(), word | bit.mask(), 0).context("write FILTER")
    }

    pub(super) fn forget_filter(&mut self) -> Result<()> {
        for word in std::mem::take(&mut self.filter_words) {
            self.array::<u64>("FILTER")?.set(word, 0, 0).context("write FILTER")?;
        }
        Ok(())
    }

    pub(super) fn forget_ranges(&mut self) -> Result<()> {
        let map = self.programs.ebpf.map_mut("RANGES").context("no map RANGES")?;
        let mut map: LpmTrie<_, RangeKey, u32> = map.try_into()?;
        let keys: Vec<Key<RangeKey>> = map.keys().collect::<Result<_, _>>().context("read RANGES")?;
        keys.iter().try_for_each(|key| map.remove(key)).context("empty RANGES")
    }

    fn array<T: aya::Pod>(&mut self, name: &str) -> Result<Array<&mut aya::maps::MapData, T>> {
        let map = self.programs.ebpf.map_mut(name).with_context(|| format!("no map {name}"))?;
        map.try_into().with_context(|| format!("the type of {name}"))
    }
}
