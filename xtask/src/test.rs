//! The tests by tier, each tier one or two calls of `cargo test`.
//!
//! A tier that this machine can't run is skipped with its reason, and fails where nothing may be skipped:
//! in CI (`CI=true`) and under `cargo xtask ci`.

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

use crate::build::{self, Built};
use crate::command::{find_program, note, step};
use crate::packages;
use crate::setup::Purpose;
use crate::vm;
use crate::workspace::{self, is_root};

/// What to test.
#[derive(Args)]
pub(crate) struct Options {
    /// Only this tier
    #[arg(value_enum)]
    tier: Option<Tier>,
    /// Only tests whose name contains this
    filter: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Tier {
    /// Pure code: no root, no kernel
    Pure,
    /// Every program loads on this kernel
    Verifier,
    /// Packets through the tc and XDP programs (BPF_PROG_TEST_RUN)
    Packets,
    /// Real sockets in network namespaces
    Nodes,
    /// A cluster followed by watches of its API, which fails when told to
    Cluster,
    /// Restart, upgrade, faults
    Lifecycle,
    /// An emulated machine with Debian's own kernel: an older one, with modules that this one may lack
    Vm,
}

/// Whether a tier that this machine can't run is an error.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Skips {
    Allowed,
    Refused,
}

/// Runs the chosen tier, or every tier that there is.
pub(crate) fn run(options: &Options) -> Result<()> {
    let in_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
    let skips = if in_ci { Skips::Refused } else { Skips::Allowed };
    match options.tier {
        Some(tier) if !tier.exists() => bail!("no test of the tier {} is there yet", tier.name()),
        Some(tier) => tiers(&[tier], options.filter.as_deref(), skips),
        None => all(skips),
    }
}

/// Runs every tier that there is.
pub(crate) fn all(skips: Skips) -> Result<()> {
    let there: Vec<_> = Tier::value_variants().iter().copied().filter(|tier| tier.exists()).collect();
    tiers(&there, None, skips)
}

fn tiers(tiers: &[Tier], filter: Option<&str>, skips: Skips) -> Result<()> {
    let mut built = None;
    let mut summary = Vec::new();
    for &tier in tiers {
        let name = tier.name();
        if let Some(reason) = tier.obstacle() {
            if skips == Skips::Refused {
                bail!("the tier {name} can't run here, and nothing may be skipped: {reason}");
            }
            note(&format!("tests: {name}"), &format!("skipped: {reason}"));
            summary.push(format!("{name} skipped ({reason})"));
            continue;
        }
        let start = Instant::now();
        match tier {
            Tier::Pure => pure(filter)?,
            Tier::Vm => vm::run(get_or_build(&mut built)?, filter)?,
            _ => kernel(tier, get_or_build(&mut built)?, filter)?,
        }
        summary.push(format!("{name} passed in {:.0} s", start.elapsed().as_secs_f64()));
    }
    eprintln!("==> tests: {}", summary.join(", "));
    Ok(())
}

impl Tier {
    fn name(self) -> &'static str {
        match self {
            Self::Pure => "pure",
            Self::Verifier => "verifier",
            Self::Packets => "packets",
            Self::Nodes => "nodes",
            Self::Cluster => "cluster",
            Self::Lifecycle => "lifecycle",
            Self::Vm => "vm",
        }
    }

    fn exists(self) -> bool {
        let tests = workspace::root().join("tests/tests");
        self == Self::Pure
            || tests.join(format!("{}.rs", self.name())).exists()
            || tests.join(self.name()).join("main.rs").exists()
    }

    /// Why this machine can't run it.
    fn obstacle(self) -> Option<&'static str> {
        if self == Self::Vm && (find_program("apt-get").is_none() || std::env::consts::ARCH != "x86_64") {
            return Some("needs a Debian on x86_64, whose kernel it runs");
        }
        (self != Self::Pure && !is_root()).then_some("needs root")
    }

    /// How many tests run at once: nodes are several processes each, and a life cycle may be of the
    /// whole machine.
    fn threads(self) -> &'static str {
        match self {
            Self::Pure | Self::Verifier | Self::Packets | Self::Nodes | Self::Cluster | Self::Vm => "2",
            Self::Lifecycle => "1",
        }
    }
}

/// The crates' own tests and their examples in the documentation, unoptimised, with overflow checks.
fn pure(filter: Option<&str>) -> Result<()> {
    packages::install(&[packages::COMPILER], "as said above")?;
    let mut units = workspace::cargo("test");
    units.args(["--locked", "--workspace", "--lib", "--bins"]);
    for name in integration_tests(&["lb-common", "lb-userspace", "xtask"])? {
        units.args(["--test", &name]);
    }
    run_tests("tests: pure", &mut units, filter, &[])?;
    let mut examples = workspace::cargo("test");
    run_tests(
        "tests: examples in the documentation",
        examples.args(["--locked", "--workspace", "--doc"]),
        filter,
        &[],
    )
}

fn kernel(tier: Tier, built: &Built, filter: Option<&str>) -> Result<()> {
    let mut cargo = build::static_cargo("test")?;
    cargo
        .args(["--test", tier.name()])
        .env("SHUNT_BIN", &built.shunt)
        .env("LB_TESTS_BIN_DIR", built.folder());
    run_tests(&format!("tests: {}", tier.name()), &mut cargo, filter, &["--test-threads", tier.threads()])
}

fn run_tests(what: &str, cargo: &mut Command, filter: Option<&str>, harness: &[&str]) -> Result<()> {
    if !harness.is_empty() || filter.is_some() {
        cargo.arg("--").args(harness).args(filter);
    }
    step(what, cargo, "read the failures above; a single one: cargo xtask test TIER NAME")
}

fn get_or_build(built: &mut Option<Built>) -> Result<&Built> {
    if built.is_none() {
        *built = Some(build::run(Purpose::Run)?);
    }
    match built {
        Some(built) => Ok(built),
        None => bail!("nothing was built"),
    }
}

/// The names of the integration tests of some crates. Those of `lb-tests` are the other tiers, so that
/// cargo can't be told to run simply all.
fn integration_tests(crates: &[&str]) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for name in crates {
        let folder: PathBuf = workspace::root().join(name).join("tests");
        if !folder.exists() {
            continue;
        }
        for entry in folder.read_dir()? {
            let path = entry?.path();
            let is_test =
                path.extension().is_some_and(|extension| extension == "rs") || path.join("main.rs").exists();
            names
                .extend(path.file_stem().filter(|_| is_test).map(|stem| stem.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    Ok(names)
}
