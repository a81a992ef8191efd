//! Clients that dial without pause.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow};
use lb_tests::wire::{Attempt, Blow, HammerReport, Outcome, Transport};

use crate::dial::{Style, attempt};

#[derive(clap::Args)]
pub(crate) struct Hammer {
    /// How
    transport: Transport,
    /// What: each client dials them one after another
    #[arg(required = true)]
    targets: Vec<SocketAddr>,
    /// So many clients at once
    #[arg(long, default_value_t = 20)]
    clients: usize,
    /// Each client ends after so many dials
    #[arg(long)]
    count: Option<u64>,
    /// Each client waits so many milliseconds after each dial
    #[arg(long, default_value_t = 0)]
    pause_ms: u64,
    /// Writes every dial to this file
    #[arg(long)]
    log: Option<PathBuf>,
    #[command(flatten)]
    style: Style,
}

struct Ledger {
    report: HammerReport,
    log: Option<BufWriter<File>>,
}

impl Hammer {
    /// Prints `ready` after the first dial that was answered, and a [`HammerReport`] at the end.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let log = match &self.log {
            Some(path) => {
                Some(BufWriter::new(File::create(path).with_context(|| path.display().to_string())?))
            }
            None => None,
        };
        let ledger = Mutex::new(Ledger { report: HammerReport::default(), log });
        let stop = AtomicBool::new(false);
        thread::scope(|scope| -> anyhow::Result<()> {
            let clients: Vec<_> =
                (0..self.clients).map(|_| scope.spawn(|| self.client(&stop, &ledger))).collect();
            if self.count.is_none() {
                io::stdin().read_to_end(&mut Vec::new())?;
                stop.store(true, Ordering::Relaxed);
            }
            for client in clients {
                client.join().map_err(|_| anyhow!("a client panicked"))??;
            }
            Ok(())
        })?;
        let mut ledger = ledger.into_inner().map_err(|_| anyhow!("a client panicked"))?;
        if let Some(log) = &mut ledger.log {
            log.flush()?;
        }
        println!("{}", serde_json::to_string(&ledger.report)?);
        Ok(())
    }

    fn client(&self, stop: &AtomicBool, ledger: &Mutex<Ledger>) -> anyhow::Result<()> {
        for (dials, target) in (0..).zip(self.targets.iter().cycle()) {
            if stop.load(Ordering::Relaxed) || self.count == Some(dials) {
                break;
            }
            let attempt = attempt(self.transport, *target, self.style, &mut None);
            ledger.lock().map_err(|_| anyhow!("another client panicked"))?.enter(attempt)?;
            thread::sleep(Duration::from_millis(self.pause_ms));
        }
        Ok(())
    }
}

impl Ledger {
    fn enter(&mut self, attempt: Attempt) -> anyhow::Result<()> {
        self.report.dials += 1;
        let Attempt { target, started_ns, elapsed_us, .. } = attempt;
        let (pod, failure) = match attempt.outcome {
            Outcome::Answered(answer) => {
                let pod = answer.greeting.pod;
                if self.report.by_pod.is_empty() {
                    println!("ready");
                }
                count(&mut self.report.by_pod, &pod);
                (Some(pod), None)
            }
            Outcome::Failed(failure) => {
                count(&mut self.report.by_failure, &failure.to_string());
                (None, Some(failure))
            }
        };
        if let Some(log) = &mut self.log {
            let ended_ns = started_ns + elapsed_us * 1000;
            serde_json::to_writer(&mut *log, &Blow { target, started_ns, ended_ns, pod, failure })?;
            writeln!(log)?;
        }
        Ok(())
    }
}

fn count(counts: &mut BTreeMap<String, u64>, key: &str) {
    match counts.get_mut(key) {
        Some(count) => *count += 1,
        None => {
            counts.insert(key.to_owned(), 1);
        }
    }
}
