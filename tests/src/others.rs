//! Programs of others on a device of a node, which let everything pass and are counted.

use std::os::fd::OwnedFd;

use anyhow::{Context, Result};
use aya::programs::links::LinkOrder;
use aya::programs::tc::TcAttachOptions;
use aya::programs::{SchedClassifier, TcAttachType};
use aya::sys::{Stats, enable_stats};
use aya::{Ebpf, EbpfLoader};
use lb_userspace::datapath::{OBJECT, load_program};

use crate::node::Node;
use crate::place::Inside;

/// A program that lets everything pass: the one under test, with maps of its own, in which nobody puts anything.
const PROGRAM: &str = "shunt_ingress";
/// Its maps that would be large.
const LARGE: [&str; 7] =
    ["NEW_FLOWS", "AFFINITY", "SOCKET_FLOWS", "FRAGMENTS", "SLOTS", "BACKENDS", "SERVICES"];

/// Three programs at the ingress of a device: the first and the last of its TCX programs as they were attached, and
/// a clsact filter.
#[derive(Debug)]
pub struct Others {
    programs: [Ebpf; 3],
    _stats: OwnedFd,
}

impl Others {
    /// Attaches them to a device of a node.
    pub fn attach(node: &Node, device: &str) -> Result<Self> {
        let stats = enable_stats(Stats::RunTime).context("count runs of programs")?;
        let mut programs = [load()?, load()?, load()?];
        let [first, last, filter] = &mut programs;
        for (ebpf, order) in [(first, LinkOrder::first()), (last, LinkOrder::last())] {
            let options = TcAttachOptions::TcxOrder(order);
            let attach = || -> Result<_> {
                Ok(program(ebpf)?.attach_with_options(device, TcAttachType::Ingress, options)?)
            };
            node.within(attach)?.with_context(|| format!("attach to {device}"))?;
        }
        // By `tc`, which leaves it to the device: aya would take it away from where this thread is.
        let pin = node.pin_dir().with_file_name("other");
        program(filter)?.pin(&pin).with_context(|| format!("pin {}", pin.display()))?;
        let pin = pin.to_str().context("a path of text")?;
        node.place().run("tc", &["qdisc", "replace", "dev", device, "clsact"])?;
        let filter = ["filter", "add", "dev", device, "ingress", "bpf", "direct-action", "pinned", pin];
        node.place().run("tc", &filter)?;
        Ok(Self { programs, _stats: stats })
    }

    /// How often each has run.
    pub fn runs(&mut self) -> Result<[u64; 3]> {
        let mut runs = [0; 3];
        for (runs, ebpf) in runs.iter_mut().zip(&mut self.programs) {
            *runs = program(ebpf)?.info().context("ask for a program")?.run_count();
        }
        Ok(runs)
    }
}

fn load() -> Result<Ebpf> {
    let mut loader = EbpfLoader::new();
    for map in LARGE {
        loader.map_max_entries(map, 128);
    }
    let mut ebpf = loader.load(OBJECT).context("load the object")?;
    load_program(ebpf.program_mut(PROGRAM).with_context(|| format!("no program {PROGRAM}"))?)?;
    Ok(ebpf)
}

fn program(ebpf: &mut Ebpf) -> Result<&mut SchedClassifier> {
    let program = ebpf.program_mut(PROGRAM).with_context(|| format!("no program {PROGRAM}"))?;
    program.try_into().context("its type")
}
