//! The instance: started, ended one way or another, looked at.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use aya::maps::{HashMap, Map, MapData};
use lb_common::{Flow, FlowKey};
use lb_userspace::datapath::Pins;
use serde::Serialize;

use super::stage::Stage;
use super::tally::Tally;
use super::world::Source;
use crate::shunt::{Options, Shunt};

/// So long an instance lives at most after all was in force, so that it is ended while it puts changes in force.
const SYNCS: Duration = Duration::from_millis(150);
/// How long a start, or putting in force all that is known, may take on a machine that has much else to do: this
/// is no judgement of speed.
const PATIENCE: Duration = Duration::from_secs(120);

/// Keeps an instance on the stage: there always is one, be it in its start.
#[derive(Debug)]
pub struct Keeper<'a> {
    stage: &'a Stage,
    source: Source,
    options: Options,
    shunt: Option<Shunt>,
    random: fastrand::Rng,
    /// What the last start took that was waited for, from the process to all in force, where maps were there
    /// already.
    need: Duration,
    /// When the instance was started.
    began: Instant,
    /// Whether the kill that was last was to be in the start.
    is_for_start: bool,
    /// Lines by which instances that are gone told of errors.
    errors: Vec<String>,
}

/// What is there of an instance, to be compared over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// Resident memory, KiB.
    pub rss_kib: u64,
    /// Open file descriptors.
    pub fds: usize,
    /// Files under the directory of pins.
    pub pins: usize,
    /// Entries in both tables of flows, two for a flow.
    pub flows: usize,
}

impl<'a> Keeper<'a> {
    /// Starts an instance, ends it and starts it again: what that takes is what a start takes.
    ///
    /// # Errors
    ///
    /// Where it does not put in force what it knows.
    pub fn begin(stage: &'a Stage, source: &Source, options: Options, seed: u64) -> Result<Self> {
        let first = source.begin(stage, &options)?;
        first.wait_until_complete_within(PATIENCE)?;
        first.kill()?;
        let began = Instant::now();
        let shunt = source.begin(stage, &options)?;
        shunt.wait_until_complete_within(PATIENCE)?;
        let need = began.elapsed();
        let random = fastrand::Rng::with_seed(seed);
        Ok(Self {
            stage,
            source: source.clone(),
            options,
            shunt: Some(shunt),
            random,
            need,
            began,
            is_for_start: false,
            errors: Vec::new(),
        })
    }

    /// What a start takes, by the last one that was waited for.
    pub fn need(&self) -> Duration {
        self.need
    }

    /// The instance.
    ///
    /// # Errors
    ///
    /// Where an earlier call failed to start it.
    pub fn shunt(&self) -> Result<&Shunt> {
        self.shunt.as_ref().context("the instance was not started again")
    }

    /// Kills it at a moment of chance and starts it again: one time within what a start takes, and the next time
    /// while it puts changes in force. What a start takes is learnt from those: it is another thing under load.
    ///
    /// # Errors
    ///
    /// Where it had ended by itself, or can't be started.
    pub fn kill(&mut self, tally: &mut Tally) -> Result<()> {
        self.is_for_start = !self.is_for_start;
        if self.is_for_start {
            thread::sleep(self.need.mul_f64(self.random.f64()));
        } else {
            self.wait()?;
            self.need = self.began.elapsed();
            thread::sleep(SYNCS.mul_f64(self.random.f64()));
        }
        let is_complete = self.shunt()?.is_complete();
        tally.ended_in_start += u64::from(!is_complete);
        self.end("kill -9", Shunt::kill, tally)
    }

    /// Stops it when all was in force, and starts it again.
    ///
    /// # Errors
    ///
    /// Where it does not end well, or can't be started.
    pub fn stop(&mut self, tally: &mut Tally) -> Result<()> {
        self.wait()?;
        thread::sleep(SYNCS.mul_f64(self.random.f64()));
        self.end("kill -TERM", Shunt::stop, tally)
    }

    /// Waits until all that is known is in force.
    ///
    /// # Errors
    ///
    /// Where it never is.
    pub fn wait(&self) -> Result<()> {
        self.shunt()?.wait_until_complete_within(PATIENCE)
    }

    /// The lines by which instances told of errors, of this one and those before.
    pub fn errors(&self) -> Vec<String> {
        let now = self.shunt.iter().flat_map(errors_of);
        self.errors.iter().cloned().chain(now).collect()
    }

    /// Forgets the errors of instances that are gone.
    pub fn forget_errors(&mut self) {
        self.errors.clear();
    }

    /// What is there of it now.
    ///
    /// # Errors
    ///
    /// Where it can't be looked at.
    pub fn figures(&self) -> Result<Figures> {
        let process = format!("/proc/{}", self.shunt()?.id());
        let status = fs::read_to_string(format!("{process}/status")).context("the instance is gone")?;
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let rss_kib = rss.and_then(|rss| rss.trim().trim_end_matches(" kB").parse().ok());
        let pins = Pins::in_directory(&self.stage.node.pin_dir());
        let flows = ["FLOWS", "NEW_FLOWS"].map(|name| entries(&pins, name));
        Ok(Figures {
            rss_kib: rss_kib.context("VmRSS of the instance")?,
            fds: fs::read_dir(format!("{process}/fd")).context("the instance is gone")?.count(),
            pins: files(&self.stage.node.pin_dir())?,
            flows: flows.into_iter().sum::<Result<usize>>()?,
        })
    }

    fn end(&mut self, how: &str, end: fn(Shunt) -> Result<()>, tally: &mut Tally) -> Result<()> {
        let shunt = self.shunt.take().context("the instance was not started again")?;
        self.errors.extend(errors_of(&shunt));
        end(shunt)?;
        *tally.ends.entry(how.to_owned()).or_default() += 1;
        self.began = Instant::now();
        self.shunt = Some(self.source.begin(self.stage, &self.options)?);
        Ok(())
    }
}

fn errors_of(shunt: &Shunt) -> Vec<String> {
    let log = shunt.log();
    log.lines()
        .filter(|line| line.contains("ERROR") || line.contains("panicked"))
        .map(str::to_owned)
        .collect()
}

fn entries(pins: &Pins, name: &str) -> Result<usize> {
    let data = MapData::from_pin(pins.map(name)).with_context(|| format!("open {name}"))?;
    Ok(HashMap::<MapData, FlowKey, Flow>::try_from(Map::from_map_data(data)?)?.keys().flatten().count())
}

/// How many files there are below a directory.
fn files(directory: &std::path::Path) -> Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir(directory).with_context(|| directory.display().to_string())? {
        let entry = entry?;
        count += if entry.file_type()?.is_dir() { files(&entry.path())? } else { 1 };
    }
    Ok(count)
}
