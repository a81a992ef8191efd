//! The packet programs, run on packets without a device: `BPF_PROG_TEST_RUN`, packet in, packet and counters
//! out.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow};
use aya::maps::{Array, HashMap, LpmTrie, Map, MapData, PerCpuArray, lpm_trie};
use aya::programs::{SchedClassifier, TestRun, TestRunOptions};
use aya::{Ebpf, Pod};
use lb_common::{
    Addr, Backend, BackendId, Counter, FilterBit, Flow, FlowKey, Frontend, FrontendKey, List, NodeConfig, RangeKey,
    RangeSet, Service, ServiceId,
};
use lb_userspace::datapath::OBJECT;

/// What a program did with a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// What it returned.
    pub verdict: i32,
    /// The packet afterwards.
    pub packet: Vec<u8>,
}

/// The programs and maps of one object, of its own: nothing is pinned, nothing attached.
#[derive(Debug)]
pub struct Programs {
    ebpf: Ebpf,
    slots: u32,
    backends: u32,
}

impl Programs {
    /// Loads the packet programs.
    pub fn load() -> Result<Self> {
        let mut ebpf = Ebpf::load(OBJECT).context("load the object")?;
        for name in ["shunt_ingress", "shunt_pod_in", "shunt_egress"] {
            let program: &mut SchedClassifier =
                ebpf.program_mut(name).with_context(|| format!("no program {name}"))?.try_into()?;
            program.load().with_context(|| format!("load {name}"))?;
            let info = program.info()?;
            println!("{name}: {:?} verified, {} bytes", info.verified_instruction_count(), info.size_jitted());
        }
        Ok(Self { ebpf, slots: 0, backends: 0 })
    }

    /// Runs a program once on a packet that is on device `ifindex` of this thread's network namespace.
    pub fn run(&mut self, program: &str, ifindex: u32, packet: &[u8], segment: u32) -> Result<Ran> {
        let program: &mut SchedClassifier =
            self.ebpf.program_mut(program).with_context(|| format!("no program {program}"))?.try_into()?;
        let context = context(ifindex, segment);
        let mut out = vec![0; packet.len() + 256];
        let options = TestRunOptions {
            data_in: Some(packet),
            data_out: Some(&mut out),
            ctx_in: Some(&context),
            ..TestRunOptions::new()
        };
        let result = program.test_run(options).context("BPF_PROG_TEST_RUN")?;
        let len = result.data_size_out as usize;
        out.truncate(len);
        Ok(Ran { verdict: result.return_value.cast_signed(), packet: out })
    }
}
