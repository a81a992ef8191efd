//! The binary under test, on a node.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::manifest::{Manifest, service};
use crate::node::Node;
use crate::place::{Inside, Place, output_of};
use crate::process::Process;

/// How long a change may take to be in force; nothing waits this long unless it fails.
const PATIENCE: Duration = Duration::from_secs(60);
/// What the instance says when all that is known is in force.
const COMPLETE: &str = "datapath complete";
/// What it says for each change that it has put in force.
const APPLIED: &str = "applied generation=";

/// The file with all that was applied, and the Service in it that is different each time.
const WORLD: &str = "world.json";
const MARKER: &str = "marker";

/// The binary `shunt`: `$SHUNT_BIN`.
pub fn shunt_program() -> Result<PathBuf> {
    let program = env::var_os("SHUNT_BIN").map(PathBuf::from);
    let program =
        program.context("SHUNT_BIN is not set: `cargo xtask test nodes` and `cargo xtask run` set it")?;
    ensure!(program.is_file(), "SHUNT_BIN={} is not there: cargo xtask build", program.display());
    Ok(program)
}

/// What `shunt NOUN -o json` prints of the datapath on a node, whether an instance runs or not; for a noun whose
/// exit status says something too, what it prints all the same.
pub fn ask_shunt(node: &Node, noun: &str) -> Result<Value> {
    let mut command = node.place().command(shunt_program()?)?;
    let output = command.args([noun, "-o", "json", "--pin-dir"]).arg(node.pin_dir()).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_str(&text).with_context(|| format!("`shunt {noun}` said {text}{said}"))
}

/// How an instance is started.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// It finds the node's addresses by itself instead of being told.
    pub find_addresses: bool,
    /// A command that runs it, with its arguments; by itself where there is none.
    pub under: Vec<OsString>,
    /// The cgroup whose processes are served; the node's where there is none.
    pub cgroup: Option<PathBuf>,
    /// Its state file; the node's where there is none.
    pub state_file: Option<PathBuf>,
    /// Further arguments of `shunt run`.
    pub arguments: Vec<OsString>,
}

/// A running instance and its directory of manifests; it is stopped when dropped.
#[derive(Debug)]
pub struct Shunt {
    place: Place,
    pin_dir: PathBuf,
    manifests: PathBuf,
    objects: Mutex<Objects>,
    process: Process,
}

/// What [`Shunt::apply`] has put there, by kind and name.
#[derive(Debug, Default)]
struct Objects {
    by_name: BTreeMap<(String, String), Value>,
    /// Port of the Service that is different after each change.
    marker: u16,
}

impl Shunt {
    /// Starts an instance with these manifests in force.
    pub fn start(node: &Node, options: &Options, manifests: &[&dyn Manifest]) -> Result<Self> {
        Self::write_manifests(node, manifests)?;
        Self::resume(node, options)
    }

    /// Starts an instance for whatever is in the node's directory of manifests; what another instance was
    /// told to apply is there still.
    pub fn resume(node: &Node, options: &Options) -> Result<Self> {
        let shunt = Self::begin(node, options)?;
        shunt.wait_until_complete()?;
        Ok(shunt)
    }

    /// Writes manifests for an instance that is to be started.
    pub fn write_manifests(node: &Node, manifests: &[&dyn Manifest]) -> Result<()> {
        let mut objects = Objects::default();
        objects.put(manifests);
        objects.write(&node.manifests())
    }

    /// The same as [`Shunt::resume`], and does not wait for anything.
    pub fn begin(node: &Node, options: &Options) -> Result<Self> {
        let objects = Objects::read(&node.manifests())?;
        let mut command = run(node, options)?;
        command.arg("--manifests").arg(node.manifests()).arg("--state-file");
        command.arg(options.state_file.clone().unwrap_or_else(|| node.state_file()));
        Self::spawn(node, objects, &mut command)
    }

    /// Starts an instance for a cluster with these API servers; does not wait for anything. What a cluster has
    /// is put there by its [`crate::apiserver::ApiServer`].
    pub fn follow(node: &Node, options: &Options, servers: &str) -> Result<Self> {
        let mut command = run(node, options)?;
        command.args(["--api-server", servers]);
        Self::spawn(node, Objects::default(), &mut command)
    }

    fn spawn(node: &Node, objects: Objects, command: &mut Command) -> Result<Self> {
        Ok(Self {
            place: node.place().clone(),
            pin_dir: node.pin_dir(),
            manifests: node.manifests(),
            objects: Mutex::new(objects),
            process: Process::start(format!("shunt on {}", node.place().name()), command)?,
        })
    }

    /// Waits until all that is known is in force.
    pub fn wait_until_complete(&self) -> Result<()> {
        self.wait_until_complete_within(PATIENCE)
    }

    /// The same, where the machine may have much else to do.
    pub fn wait_until_complete_within(&self, patience: Duration) -> Result<()> {
        self.process.wait_for_line(0, patience, |line| line.contains(COMPLETE)).map(drop)
    }

    /// Whether it has said so by now.
    pub fn is_complete(&self) -> bool {
        self.process.log().contains(COMPLETE)
    }

    /// Its process id, or that of what becomes it.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Puts manifests there, in place of those of the same kind and name, and waits until they are in force.
    pub fn apply(&self, manifests: &[&dyn Manifest]) -> Result<()> {
        self.change(|objects| objects.put(manifests))
    }

    /// Takes objects out by kind and name, and waits until that is in force.
    pub fn remove(&self, kind: &str, names: &[&str]) -> Result<()> {
        self.change(|objects| {
            objects.by_name.retain(|(a, b), _| a != kind || !names.contains(&b.as_str()));
        })
    }

    /// One change of the whole world: one file is replaced by a rename, and one line says it is in force.
    fn change(&self, change: impl FnOnce(&mut Objects)) -> Result<()> {
        let mut objects = self.objects.lock().ok().context("an earlier change panicked")?;
        let seen = self.process.lines_so_far();
        change(&mut objects);
        objects.write(&self.manifests)?;
        self.process.wait_for_line(seen, PATIENCE, |line| line.contains(APPLIED)).map(drop)
    }

    /// Writes a file of its own into the directory of manifests; does not wait for anything.
    pub fn write(&self, file: &str, text: &str) -> Result<()> {
        write_atomically(&self.manifests, file, text)
    }

    /// Waits for a line in the log, after the first `seen` ones.
    pub fn wait_for_line(&self, seen: usize, wanted: impl Fn(&str) -> bool) -> Result<String> {
        self.process.wait_for_line(seen, PATIENCE, wanted).map(|(_, line)| line)
    }

    /// How many lines the log has so far.
    pub fn lines_so_far(&self) -> usize {
        self.process.lines_so_far()
    }

    /// What it has logged after the first `seen` lines.
    pub fn lines_since(&self, seen: usize) -> Vec<String> {
        self.process.lines_since(seen)
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// What `shunt services` prints of this instance.
    pub fn services(&self, output: &str) -> Result<String> {
        let mut command = self.place.command(shunt_program()?)?;
        command.args(["services", "--output", output, "--pin-dir"]).arg(&self.pin_dir);
        output_of(&mut command)
    }

    /// The same as JSON.
    pub fn services_json(&self) -> Result<Value> {
        let text = self.services("json")?;
        serde_json::from_str(&text).with_context(|| format!("`shunt services` said {text}"))
    }

    /// Waits until an address is among those by which Services are dialled, or is no more.
    pub fn wait_until_listed(&self, address: &str, wanted: bool) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.services("json")?.contains(address) != wanted {
            ensure!(Instant::now() < deadline, "{address} is listed: {}", !wanted);
        }
        Ok(())
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) -> Result<()> {
        let signal = format!("SIG{name}").parse().context("a signal")?;
        self.process.signal(signal)
    }

    /// Waits until it has ended by itself.
    pub fn wait_for_end(self) -> Result<ExitStatus> {
        self.process.wait_for_end(PATIENCE)
    }

    /// Stops it by SIGTERM.
    pub fn stop(self) -> Result<()> {
        let log = self.process.log();
        let status = self.process.stop()?;
        ensure!(status.success(), "shunt: {status}; it said:\n{log}");
        Ok(())
    }

    /// Kills it.
    pub fn kill(self) -> Result<()> {
        self.process.kill()
    }
}

/// `shunt run` on a node, without a source.
fn run(node: &Node, options: &Options) -> Result<Command> {
    let words: Vec<OsString> = options.under.iter().cloned().chain([shunt_program()?.into()]).collect();
    let mut command = node.place().command(&words[0])?;
    command.args(&words[1..]).arg("run").args(["--node-name", node.place().name()]);
    let cgroup = options.cgroup.as_deref().unwrap_or_else(|| node.cgroup());
    command.arg("--cgroup").arg(cgroup).arg("--pin-dir").arg(node.pin_dir());
    if !options.find_addresses {
        for ip in node.addresses().into_iter().chain(node.gateway_addresses()) {
            command.arg("--node-ip").arg(ip.to_string());
        }
    }
    // The kernel's settings are left as they are, but by a test that is about them: a flag wins.
    for setting in ["MAX_PER_CORE", "TCP_TIMEOUT_ESTABLISHED", "TCP_TIMEOUT_CLOSE_WAIT"] {
        command.env(format!("SHUNT_CONNTRACK_{setting}"), "0");
    }
    command.args(&options.arguments).env("NO_COLOR", "1");
    Ok(command)
}

impl Objects {
    /// What [`Objects::write`] wrote; nothing where it never did.
    fn read(dir: &Path) -> Result<Self> {
        let mut objects = Self::default();
        let text = match fs::read_to_string(dir.join(WORLD)) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(objects),
            Err(error) => return Err(error).with_context(|| format!("read {WORLD}")),
        };
        let mut list: Value = serde_json::from_str(&text).with_context(|| format!("read {WORLD}"))?;
        for item in list["items"].as_array_mut().into_iter().flatten() {
            objects.put(&[&*item]);
        }
        if let Some(marker) = objects.by_name.remove(&("Service".to_owned(), MARKER.to_owned())) {
            objects.marker = serde_json::from_value(marker["spec"]["ports"][0]["port"].clone())?;
        }
        Ok(objects)
    }

    fn put(&mut self, manifests: &[&dyn Manifest]) {
        for manifest in manifests {
            let value = manifest.to_value();
            let field = |field: &Value| field.as_str().unwrap_or_default().to_owned();
            self.by_name.insert((field(&value["kind"]), field(&value["metadata"]["name"])), value);
        }
    }

    /// Writes them as one List, with a Service that was never there before: the instance has something to
    /// put in force, and says so, even where nothing else is new to it.
    fn write(&mut self, dir: &Path) -> Result<()> {
        self.marker = if self.marker == u16::MAX { 1 } else { self.marker + 1 };
        let marker = service(MARKER).port(self.marker).to_value();
        let items: Vec<_> = self.by_name.values().chain([&marker]).collect();
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": items });
        write_atomically(dir, WORLD, &list.to_string())
    }
}

/// As an editor saves: whoever reads sees the old file or the new one.
fn write_atomically(dir: &Path, file: &str, text: &str) -> Result<()> {
    let (path, draft) = (dir.join(file), dir.join(format!(".{file}.draft")));
    fs::write(&draft, text).with_context(|| format!("write {}", draft.display()))?;
    fs::rename(&draft, &path).with_context(|| format!("rename to {}", path.display()))
}
