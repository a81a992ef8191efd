//! Which programs are on the hooks of a node's cgroup and of its devices, as the kernel says.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result};
use aya::programs::{ProgramError, SchedClassifier, TcAttachType};
use lb_userspace::datapath::HOOKS;
use nix::net::if_::if_nametoindex;

use crate::kernel::programs_on;
use crate::node::Node;
use crate::place::Inside;

/// `BPF_TCX_INGRESS` and `BPF_TCX_EGRESS` (linux/bpf.h, 6.6)
const TCX: [(&str, u32); 2] = [("tcx ingress", 46), ("tcx egress", 47)];

/// By hook, how often it had how many programs.
type Counts = BTreeMap<String, BTreeMap<u32, u64>>;

/// A watch on the hooks that goes on until it is ended.
#[derive(Debug)]
pub struct Watch {
    ended: Arc<AtomicBool>,
    thread: JoinHandle<Result<Counts>>,
}

impl Watch {
    /// Counts from now on, without pause, how many programs are on each hook of the node's cgroup and of one of its
    /// devices.
    pub fn begin(node: &Node, device: &str) -> Result<Self> {
        let (cgroup, place) = (File::open(node.cgroup()).context("the cgroup")?, node.place().clone());
        let ended = Arc::new(AtomicBool::new(false));
        let (until, device) = (Arc::clone(&ended), device.to_owned());
        let thread = thread::spawn(move || place.within(|| look(&cgroup, &device, &until))?);
        Ok(Self { ended, thread })
    }

    /// By hook, how often it had how many programs.
    pub fn end(self) -> Result<Counts> {
        self.ended.store(true, Ordering::Relaxed);
        self.thread.join().ok().context("the watch panicked")?
    }
}

fn look(cgroup: &File, device: &str, ended: &AtomicBool) -> Result<Counts> {
    let cgroup = u32::try_from(cgroup.as_raw_fd())?;
    let device = if_nametoindex(device).with_context(|| device.to_owned())?;
    let of_cgroup = HOOKS.iter().map(|(name, hook)| (*name, cgroup, *hook));
    let hooks: Vec<_> = of_cgroup.chain(TCX.map(|(name, hook)| (name, device, hook))).collect();
    let mut seen = Counts::new();
    while !ended.load(Ordering::Relaxed) {
        for (name, target, hook) in &hooks {
            let count = programs_on(*target, *hook).with_context(|| format!("ask for {name}"))?;
            *seen.entry((*name).to_owned()).or_default().entry(count).or_default() += 1;
        }
    }
    Ok(seen)
}

impl Node {
    /// `tcx/HOOK NAME` and `clsact/HOOK NAME` of each program on a device of the node, in order of the hooks.
    pub fn programs_on(&self, device: &str) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for (hook, direction) in [("ingress", TcAttachType::Ingress), ("egress", TcAttachType::Egress)] {
            let names = self.within(|| tcx(device, direction))?;
            let names = names.with_context(|| format!("ask for the programs of {device}"))?;
            found.extend(names.into_iter().map(|name| format!("tcx/{hook} {name}")));
            // Without a clsact qdisc there is nothing to show, and `tc` fails.
            let filters =
                self.place().run("tc", &["filter", "show", "dev", device, hook]).unwrap_or_default();
            let names = filters.lines().filter_map(|line| {
                line.split_whitespace()
                    .skip_while(|word| !word.starts_with("handle"))
                    .nth(2)
                    .filter(|_| line.contains("bpf"))
            });
            found.extend(names.map(|name| format!("clsact/{hook} {name}")));
        }
        Ok(found)
    }
}

fn tcx(device: &str, direction: TcAttachType) -> Result<Vec<String>, ProgramError> {
    let programs = match SchedClassifier::query_tcx(device, direction) {
        Ok((_, programs)) => programs,
        // Before Linux 6.6 there is no such hook.
        Err(ProgramError::SyscallError(error))
            if error.io_error.raw_os_error() == Some(nix::libc::EINVAL) =>
        {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    Ok(programs.iter().map(|program| program.name_as_str().unwrap_or_default().to_owned()).collect())
}
