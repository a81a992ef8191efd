//! The packet programs over the maps of an instance that runs: what they would do with a packet that comes to
//! its node now.

use anyhow::{Context, Result};
use nix::net::if_::if_nametoindex;

use super::object::{Hook, Programs};
use super::ran::{Ran, Verdict};
use crate::node::Node;
use crate::packet::Packet;

/// Programs of their own over maps of an instance, in the network namespace of its node.
#[derive(Debug)]
pub struct Pinned {
    programs: Programs,
    device: u32,
}

impl Pinned {
    /// Runs `f` on a thread in the node's network namespace, with packets on the node's external device.
    pub fn within<T: Send>(node: &Node, f: impl FnOnce(&mut Self) -> Result<T> + Send) -> Result<T> {
        node.within(|| {
            let maps = node.pin_dir().join(format!("v{}", lb_common::LAYOUT_VERSION)).join("maps");
            let device = if_nametoindex("eth0").context("no device eth0")?;
            f(&mut Self { programs: Programs::over(&maps)?, device })
        })?
    }

    /// Runs a program on a packet.
    pub fn run(&mut self, hook: Hook, packet: &Packet) -> Result<Ran> {
        let (bytes, mut out) = (packet.bytes(), Vec::new());
        let before = self.programs.counters()?;
        let code = self.programs.run(hook, self.device, &bytes, 0, &mut out)?;
        let after = self.programs.counters()?;
        Ok(Ran::new(Verdict::from_code(code), bytes, out, &before, &after))
    }
}
