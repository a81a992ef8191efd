//! Which pods are endpoints when. The world has versions; each is written at once, and has a marker by which the
//! kernel's maps say that it is in force ([`super::world`]).

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::stage::{Path, Stage};
use super::world::{Marker, Source, World};
use crate::Inside;
use crate::wire::{Blow, monotonic};

/// How often the maps are asked for the version.
const LOOK: Duration = Duration::from_millis(2);
/// How long a version may take to be in force where nothing hinders it but a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// When a version was written, and when it was seen to be in force, both by [`monotonic`].
#[derive(Debug, Clone, Copy)]
struct Version {
    written_ns: u64,
    in_force_ns: Option<u64>,
}

/// The world's writer, and its history.
#[derive(Debug)]
pub struct Churn {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<()>>>,
}

#[derive(Debug)]
struct Shared {
    world: World,
    source: Source,
    pins: PathBuf,
    names: Vec<String>,
    versions: Mutex<Vec<Version>>,
    ended: AtomicBool,
}

/// What became of one dial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Answered by who was an endpoint; `could_be_wrong` where another pod would have been wrong.
    Right { could_be_wrong: bool },
    /// Answered by who was none.
    Wrong,
    /// A UDP socket that was ended because its endpoint was going (EPS-13).
    Ended,
    /// Failed.
    Failed,
}

impl Churn {
    /// Writes the first version of the world; nothing more before [`Churn::begin`].
    ///
    /// # Errors
    ///
    /// Where it can't be written.
    pub fn prepare(stage: &Stage, source: &Source) -> Result<Self> {
        let shared = Arc::new(Shared {
            world: World::new(stage, source),
            source: source.clone(),
            pins: stage.node.pin_dir(),
            names: stage.pods.iter().map(|pod| pod.place().name().to_owned()).collect(),
            versions: Mutex::default(),
            ended: AtomicBool::new(false),
        });
        shared.write()?;
        Ok(Self { shared, thread: None })
    }

    /// Changes the world from now on, each time when the version before is in force, and at most once in each
    /// of `pause`, which are drawn from.
    ///
    /// # Errors
    ///
    /// Where what was written first does not come into force.
    pub fn begin(&mut self, seed: u64, pause: Duration) -> Result<()> {
        let marker = Marker::open(&self.shared.pins, &self.shared.source)?;
        if !self.shared.look(&marker, PATIENCE) {
            bail!("the first version of the world is not in force after {PATIENCE:?}");
        }
        let shared = Arc::clone(&self.shared);
        self.thread = Some(thread::spawn(move || shared.turn(&marker, seed, pause)));
        Ok(())
    }

    /// How many versions there were, and of how many it was seen that they were in force.
    pub fn versions(&self) -> (usize, usize) {
        let versions = self.shared.versions();
        (versions.len(), versions.iter().filter(|version| version.in_force_ns.is_some()).count())
    }

    /// Waits until the version that was written last is in force; the writer goes on then.
    ///
    /// # Errors
    ///
    /// Where it is not in time.
    pub fn wait_for_next(&self) -> Result<()> {
        let wanted = self.versions().0;
        let deadline = Instant::now() + PATIENCE;
        while self.versions().1 < wanted {
            if Instant::now() > deadline {
                bail!("version {wanted} of the world is not in force after {PATIENCE:?}");
            }
            thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Ends the writer.
    ///
    /// # Errors
    ///
    /// What went wrong in it.
    pub fn end(&mut self) -> Result<()> {
        self.shared.ended.store(true, Ordering::Relaxed);
        match self.thread.take() {
            Some(thread) => thread.join().ok().context("the writer of the world panicked")?,
            None => Ok(()),
        }
    }

    /// What became of a dial to a Service.
    pub(super) fn judge(&self, path: &Path, blow: &Blow) -> Verdict {
        let allowed = self.allowed(path, blow.started_ns, blow.ended_ns);
        match (&blow.pod, &blow.failure) {
            (Some(pod), _) if !allowed.iter().any(|name| name == pod) => Verdict::Wrong,
            (Some(_), _) => Verdict::Right { could_be_wrong: allowed.len() < path.pods.len() },
            (None, Some(failure)) if failure.errno == "ECONNABORTED" && allowed.len() > path.at_once => {
                Verdict::Ended
            }
            (None, _) => Verdict::Failed,
        }
    }

    /// Who was an endpoint at some time between, or may have been.
    fn allowed(&self, path: &Path, started_ns: u64, ended_ns: u64) -> BTreeSet<&str> {
        let versions = self.shared.versions();
        // Each is written after the one before was seen to be in force: both grow.
        let in_force = |version: &Version| version.in_force_ns.is_some_and(|at| at <= started_ns);
        let first = versions.partition_point(in_force).saturating_sub(1);
        let last = versions.partition_point(|version| version.written_ns <= ended_ns).saturating_sub(1);
        let names = self.shared.names.iter().enumerate();
        let is_allowed = |pod: usize| (first..=last).any(|version| path.has(version, pod));
        names.filter(|(pod, _)| is_allowed(*pod)).map(|(_, name)| name.as_str()).collect()
    }
}

impl Drop for Churn {
    fn drop(&mut self) {
        // Whoever wants to know what went wrong has asked for it.
        let _ended = self.end();
    }
}

impl Shared {
    fn versions(&self) -> std::sync::MutexGuard<'_, Vec<Version>> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(&self, marker: &Marker, seed: u64, pause: Duration) -> Result<()> {
        let mut random = fastrand::Rng::with_seed(seed);
        while !self.ended.load(Ordering::Relaxed) {
            thread::sleep(pause.mul_f64(random.f64()));
            self.write()?;
            // Nobody waits for this one where the instance is away: it is in force when it is back.
            while !self.ended.load(Ordering::Relaxed) {
                if self.look(marker, LOOK) {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Whether the last version is in force; waits a while for it.
    fn look(&self, marker: &Marker, patience: Duration) -> bool {
        let number = self.versions().len() - 1;
        let deadline = Instant::now() + patience;
        while !marker.is_in_force(number) {
            if Instant::now() > deadline {
                return false;
            }
            thread::sleep(LOOK.min(patience));
        }
        if let Some(version) = self.versions().last_mut() {
            version.in_force_ns.get_or_insert_with(monotonic);
        }
        true
    }

    /// Writes the next version.
    fn write(&self) -> Result<()> {
        let number = self.versions().len();
        // From the moment before it can be read on.
        let begins = || self.versions().push(Version { written_ns: monotonic(), in_force_ns: None });
        self.world.write(number, begins)
    }
}
