//! The packet programs, run on packets without a device that carries them: `BPF_PROG_TEST_RUN`, packet in,
//! packet and counters out.
//!
//! A [`Lab`] is one node: a network namespace with devices, routes and neighbours for the programs' lookups,
//! and an object of its own, of which nothing is pinned and nothing attached. Its maps are filled by
//! [`Lab::serve`] and friends, in the layouts that userspace writes.
//!
//! What a test run can't show: which device a packet is redirected to, a checksum that the hardware is still
//! to complete, a tag that the hardware took off. Those are for real devices (tier `nodes`).

mod fill;
mod maps;
mod object;
mod pinned;
mod ran;
mod stage;
mod words;

use std::marker::PhantomData;

use anyhow::Result;
use lb_common::{BackendId, ServiceId};

use crate::netns::{Entered, Netns};
use crate::packet::Packet;

pub use maps::Table;
pub use object::Hook;
use object::Programs;
pub use pinned::Pinned;
pub use ran::{Ran, Verdict};
pub use stage::{NARROW, NARROW_MTU, NODE_V4, NODE_V6};
pub use words::{Frontend, Service, frontend, service};

/// A node under test. The thread that made it is in its network namespace until it is dropped, and no other
/// thread can use it.
#[derive(Debug)]
pub struct Lab {
    programs: Programs,
    devices: [u32; 2],
    next_service: u32,
    next_backend: u32,
    next_slot: u32,
    filter_words: Vec<u32>,
    _entered: Entered,
    _netns: Netns,
    _this_thread_only: PhantomData<*const ()>,
}

/// A device of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    /// Leads out of the node.
    External = 0,
    /// Leads to a pod of the node.
    PodSide = 1,
}

impl Lab {
    /// A node with nothing to serve; what pods answer is seen on external devices only.
    #[track_caller]
    pub fn new() -> Self {
        Self::with_sizes(&[])
    }

    /// The same with other numbers of entries in some maps.
    #[track_caller]
    pub fn with_sizes(sizes: &[(&'static str, u32)]) -> Self {
        ok(Self::create(sizes))
    }

    fn create(sizes: &[(&'static str, u32)]) -> Result<Self> {
        let netns = stage::create()?;
        let entered = netns.enter()?;
        let mut lab = Self {
            programs: Programs::load(sizes)?,
            devices: stage::devices()?,
            next_service: 1,
            next_backend: 1,
            next_slot: 0,
            filter_words: Vec::new(),
            _entered: entered,
            _netns: netns,
            _this_thread_only: PhantomData,
        };
        lab.describe_node()?;
        Ok(lab)
    }

    /// A packet comes in by the external device.
    #[track_caller]
    pub fn from_outside(&mut self, packet: &Packet) -> Ran {
        self.run(Hook::Ingress, Device::External, packet)
    }

    /// A packet comes from a pod of the node, by the pod's device.
    #[track_caller]
    pub fn from_pod(&mut self, packet: &Packet) -> Ran {
        self.run(Hook::PodIn, Device::PodSide, packet)
    }

    /// A packet goes out by the external device.
    #[track_caller]
    pub fn to_outside(&mut self, packet: &Packet) -> Ran {
        self.run(Hook::Egress, Device::External, packet)
    }

    /// A packet goes to a pod of the node, by the pod's device.
    #[track_caller]
    pub fn to_pod(&mut self, packet: &Packet) -> Ran {
        self.run(Hook::Egress, Device::PodSide, packet)
    }

    #[track_caller]
    fn run(&mut self, hook: Hook, device: Device, packet: &Packet) -> Ran {
        self.run_bytes(hook, device, &packet.bytes(), 0)
    }

    /// Any bytes; `segment` is how many bytes of payload each segment has that the packet is to be cut into, 0
    /// where it is not.
    #[track_caller]
    pub fn run_bytes(&mut self, hook: Hook, device: Device, bytes: &[u8], segment: u32) -> Ran {
        let before = ok(self.programs.counters());
        let mut out = Vec::new();
        let verdict = ok(self.programs.run(hook, self.devices[device as usize], bytes, segment, &mut out));
        let after = ok(self.programs.counters());
        Ran::new(Verdict::from_code(verdict), bytes.to_vec(), out, &before, &after)
    }

    /// The same without counters and without a copy: for packets by the hundred thousand. Gives the verdict.
    #[track_caller]
    pub fn pour(&mut self, hook: Hook, device: Device, bytes: &[u8], out: &mut Vec<u8>) -> Verdict {
        let code = ok(self.programs.run(hook, self.devices[device as usize], bytes, 0, out));
        Verdict::from_code(code)
    }

    /// Two packets on two processors at the same time. Gives what becomes of each.
    #[track_caller]
    pub fn at_once(&mut self, packets: [(Hook, Device, &Packet); 2]) -> [Ran; 2] {
        let counters = ok(self.programs.counters());
        let runs =
            packets.map(|(hook, device, packet)| (hook, self.devices[device as usize], packet.bytes()));
        let ran = ok(self.programs.run_at_once(&runs));
        let [first, second] = runs.map(|(_, _, bytes)| bytes);
        let [(one, out), (other, other_out)] = ran;
        let after = ok(self.programs.counters());
        [
            Ran::new(Verdict::from_code(one), first, out, &counters, &after),
            Ran::new(Verdict::from_code(other), second, other_out, &counters, &after),
        ]
    }

    fn new_service(&mut self) -> ServiceId {
        let id = ServiceId::from_number(self.next_service);
        self.next_service += 1;
        id
    }

    fn new_backend(&mut self) -> BackendId {
        let id = BackendId::from_number(self.next_backend);
        self.next_backend += 1;
        id
    }
}

impl Default for Lab {
    fn default() -> Self {
        Self::new()
    }
}

#[track_caller]
pub(crate) fn ok<T>(result: Result<T>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{error:#}"),
    }
}
