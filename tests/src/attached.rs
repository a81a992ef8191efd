//! Which programs are on the tc hooks of a device, as the kernel says.

use anyhow::{Context, Result};
use aya::programs::{ProgramError, SchedClassifier, TcAttachType};

use crate::node::Node;
use crate::place::Inside;

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
    let (_, programs) = SchedClassifier::query_tcx(device, direction)?;
    Ok(programs.iter().map(|program| program.name_as_str().unwrap_or_default().to_owned()).collect())
}
