//! The object, and one run of one of its programs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Barrier;
use std::thread;

use anyhow::{Context, Result, anyhow, ensure};
use aya::maps::PerCpuArray;
use aya::programs::{SchedClassifier, TestRun, TestRunOptions};
use aya::{Ebpf, EbpfLoader};
use lb_common::Counter;
use lb_userspace::datapath::{OBJECT, load_program};

/// Which program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// `shunt_ingress`
    Ingress,
    /// `shunt_pod_in`
    PodIn,
    /// `shunt_egress`
    Egress,
}

impl Hook {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ingress, Self::PodIn, Self::Egress];

    const fn program(self) -> &'static str {
        match self {
            Self::Ingress => "shunt_ingress",
            Self::PodIn => "shunt_pod_in",
            Self::Egress => "shunt_egress",
        }
    }
}

/// Room for what a program may add to a packet: an ICMP error's headers.
const MOST_ADDED: usize = 64;

/// Runs a loaded program once; see [`Programs::run`].
fn run(
    program: &SchedClassifier,
    hook: Hook,
    ifindex: u32,
    (packet, segment): (&[u8], u32),
    out: &mut Vec<u8>,
) -> Result<i32> {
    let context = context(ifindex, segment);
    out.resize(packet.len() + MOST_ADDED, 0);
    let options = TestRunOptions {
        data_in: Some(packet),
        data_out: Some(out),
        ctx_in: Some(&context),
        ..TestRunOptions::new()
    };
    let ran = program.test_run(options);
    let ran = ran.with_context(|| format!("BPF_PROG_TEST_RUN of {}", hook.program()))?;
    out.truncate(ran.data_size_out as usize);
    Ok(ran.return_value.cast_signed())
}

/// Programs and maps of its own.
#[derive(Debug)]
pub(super) struct Programs {
    pub(super) ebpf: Ebpf,
}

impl Programs {
    pub(super) fn load(sizes: &[(&'static str, u32)]) -> Result<Self> {
        ensure!(!OBJECT.is_empty(), "the binary has no eBPF object in it: cargo xtask build");
        let mut loader = EbpfLoader::new();
        for (map, entries) in sizes {
            loader.map_max_entries(map, *entries);
        }
        Ok(Self { ebpf: loader.load(OBJECT).context("load the object")? })
    }

    /// The same over maps that are pinned in a directory, as many of them as are.
    pub(super) fn over(maps: &Path) -> Result<Self> {
        ensure!(!OBJECT.is_empty(), "the binary has no eBPF object in it: cargo xtask build");
        let mut pins = Vec::new();
        for entry in fs::read_dir(maps).with_context(|| format!("read {}", maps.display()))? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).context("a pin's name")?.to_owned();
            pins.push((name, path));
        }
        let mut loader = EbpfLoader::new();
        for (name, path) in &pins {
            loader.map_pin_path(name, path.as_path());
        }
        Ok(Self { ebpf: loader.load(OBJECT).context("load the object")? })
    }

    /// A program, loaded when it is first wanted: the verifier takes a tenth of a second for each.
    fn program(&mut self, hook: Hook) -> Result<&mut SchedClassifier> {
        let name = hook.program();
        let program = self.ebpf.program_mut(name).with_context(|| format!("no program {name}"))?;
        if program.fd().is_err() {
            load_program(program).with_context(|| format!("load {name}"))?;
        }
        program.try_into().with_context(|| format!("the type of {name}"))
    }

    /// Runs a program once on a packet that is on device `ifindex` of this thread's network namespace. `out`
    /// becomes the packet afterwards. Gives what the program returned.
    pub(super) fn run(
        &mut self,
        hook: Hook,
        ifindex: u32,
        packet: &[u8],
        segment: u32,
        out: &mut Vec<u8>,
    ) -> Result<i32> {
        run(self.program(hook)?, hook, ifindex, (packet, segment), out)
    }

    /// Runs two programs at the same time, each on a thread of its own, on a packet and the device that it is on.
    pub(super) fn run_at_once(&mut self, runs: &[(Hook, u32, Vec<u8>); 2]) -> Result<[(i32, Vec<u8>); 2]> {
        for (hook, ..) in runs {
            self.program(*hook)?;
        }
        let (ebpf, barrier) = (&self.ebpf, Barrier::new(2));
        let one = |(hook, ifindex, packet): &(Hook, u32, Vec<u8>)| -> Result<(i32, Vec<u8>)> {
            let program = ebpf.program(hook.program()).context("no program")?;
            let program: &SchedClassifier = program.try_into().context("its type")?;
            let mut out = Vec::new();
            barrier.wait();
            Ok((run(program, *hook, *ifindex, (packet, 0), &mut out)?, out))
        };
        let [first, second] = runs;
        thread::scope(|scope| {
            let other = scope.spawn(|| one(second));
            let first = one(first);
            let other = other.join().map_err(|_| anyhow!("the other thread panicked"))?;
            Ok([first?, other?])
        })
    }

    /// All that is not zero.
    pub(super) fn counters(&self) -> Result<BTreeMap<Counter, u64>> {
        let map = self.ebpf.map("COUNTERS").context("no map COUNTERS")?;
        let map: PerCpuArray<_, u64> = map.try_into().context("the type of COUNTERS")?;
        let mut counters = BTreeMap::new();
        for counter in Counter::ALL {
            let count = map.get(&counter.index(), 0).context("read COUNTERS")?.iter().sum();
            if count > 0 {
                counters.insert(counter, count);
            }
        }
        Ok(counters)
    }
}

/// `struct __sk_buff`, of which the kernel takes few fields (`convert___skb_to_skb`, net/bpf/test_run.c) and
/// wants the others to be zero. The device must be one of the thread's network namespace.
fn context(ifindex: u32, segment: u32) -> [u8; 192] {
    const IFINDEX: usize = 40;
    const GSO_SEGS: usize = 164;
    const GSO_SIZE: usize = 176;
    let mut context = [0; 192];
    let mut set = |at: usize, value: u32| context[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    set(IFINDEX, ifindex);
    if segment > 0 {
        set(GSO_SEGS, 2);
        set(GSO_SIZE, segment);
    }
    context
}
