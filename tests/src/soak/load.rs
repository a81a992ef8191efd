//! Clients that dial without end, and downloads that last.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::churn::{Churn, Verdict};
use super::stage::{PATHS, Path, Stage, TRANSFERS};
use super::tally::{Dials, Tally};
use crate::dial::{Dial, Hammer};
use crate::place::{Inside, Place};
use crate::wire::Transport;
use crate::{tcp, udp};

/// Of each path.
const CLIENTS: usize = 4;
/// So that a minute's dials can be judged, and ports are not the measure.
const PAUSE: Duration = Duration::from_millis(10);
/// What a call of a dial may take: the machine may have much else to do, and only what is really lost is to count.
/// What TCP sends again is answered within it all the same, and is counted as slow.
const LIMIT: Duration = Duration::from_secs(20);
/// A dial that takes longer has sent its first packet again (RFC 6298: after a second), or waited for the machine.
const SLOW: Duration = Duration::from_millis(900);
/// A download of which nothing comes for a minute is lost, and says so instead of waiting for ever.
const SILENCE: &str = "--speed-limit 1 --speed-time 60";
/// Bytes a second of a download.
const RATE: u32 = 1 << 20;

/// The load of one round; it is judged when it has ended.
#[derive(Debug)]
pub struct Load {
    hammers: Vec<(Path, Hammer)>,
    downloads: Vec<(Path, JoinHandle<Downloads>)>,
    ended: Arc<AtomicBool>,
    stalled: JoinHandle<Duration>,
}

/// What one client downloaded: how often whole, and what went wrong.
type Downloads = (u64, Vec<String>);

impl Load {
    /// Starts all clients; a download lasts so long.
    ///
    /// # Errors
    ///
    /// Where a client gets no first answer.
    pub fn begin(stage: &Stage, download: Duration) -> Result<Self> {
        let size = u64::from(RATE) * download.as_secs().max(1);
        let expected = checksum(stage, size)?;
        let ended = Arc::new(AtomicBool::new(false));
        let mut hammers = Vec::new();
        for path in PATHS {
            let log = stage.node.state_file().with_file_name(format!("{}.jsonl", path.name));
            let hammer =
                dial(&path).pausing(PAUSE).within(LIMIT).hammer(place(stage, &path), CLIENTS, log)?;
            hammers.push((path, hammer));
        }
        let downloads = TRANSFERS.into_iter().map(|path| {
            let (place, ended, expected) =
                (place(stage, &path).clone(), Arc::clone(&ended), expected.clone());
            let line = line(path.target, size);
            (path, thread::spawn(move || download_all(&place, &line, &expected, &ended)))
        });
        let downloads = downloads.collect();
        let stalled = thread::spawn({
            let ended = Arc::clone(&ended);
            move || longest_stall(&ended)
        });
        Ok(Self { hammers, downloads, ended, stalled })
    }

    /// Ends all clients, the downloads when they are complete, and judges what they did.
    ///
    /// # Errors
    ///
    /// Where a client can't be asked.
    pub fn end(self, churn: &Churn) -> Result<Tally> {
        let mut tally = Tally::default();
        self.ended.store(true, Ordering::Relaxed);
        let stalled = self.stalled.join().ok().context("the watch on the machine panicked")?;
        tally.stalled_ms = stalled.as_millis() as u64;
        for (path, hammer) in self.hammers {
            let (_, blows) = hammer.stop()?;
            let mut dials = Dials::default();
            for blow in &blows {
                let took = Duration::from_nanos(blow.ended_ns.saturating_sub(blow.started_ns));
                dials.slow += u64::from(took > SLOW);
                dials.slowest_ms = dials.slowest_ms.max(took.as_millis() as u64);
                match churn.judge(&path, blow) {
                    Verdict::Right { could_be_wrong } => {
                        dials.ok += 1;
                        dials.could_be_wrong += u64::from(could_be_wrong);
                        continue;
                    }
                    Verdict::Ended => {
                        dials.ended_with_endpoint += 1;
                        continue;
                    }
                    Verdict::Wrong => dials.wrong += 1,
                    Verdict::Failed => dials.failed += 1,
                }
                tally.example(format!("{}: {blow:?}", path.name));
            }
            tally.dials.insert(path.name.to_owned(), dials);
        }
        for (path, download) in self.downloads {
            let (whole, lost) = download.join().ok().context("a download panicked")?;
            tally.transfers.insert(path.name.to_owned(), whole);
            tally.transfers_lost += lost.len() as u64;
            lost.into_iter().for_each(|why| tally.example(format!("{}: {why}", path.name)));
        }
        Ok(tally)
    }
}

fn place<'a>(stage: &'a Stage, path: &Path) -> &'a Place {
    if path.from_pod { stage.client.place() } else { stage.outside.place() }
}

fn dial(path: &Path) -> Dial {
    if path.transport == Transport::Tcp { tcp(path.target) } else { udp(path.target) }
}

/// A shell's line that prints the checksum of a download.
fn line(target: &str, size: u64) -> String {
    format!(
        "set -o pipefail; curl -sSf {SILENCE} --limit-rate {RATE} http://{target}/bytes/{size} | sha256sum"
    )
}

/// What every download has to be: from a pod's own address, which the node and not Shunt leads to.
fn checksum(stage: &Stage, size: u64) -> Result<String> {
    let pod = stage.pods.first().context("a pod")?;
    let url = format!("http://{}:80/bytes/{size}", pod.v4());
    let sum = pod.place().run("sh", &["-c", &format!("curl -sSf {SILENCE} {url} | sha256sum")])?;
    ensure!(sum.len() > 64, "no checksum: {sum}");
    Ok(sum)
}

/// How much longer a short sleep took than it was to: so long the machine let this process wait, and may have let
/// clients and servers wait.
fn longest_stall(ended: &AtomicBool) -> Duration {
    let mut longest = Duration::ZERO;
    while !ended.load(Ordering::Relaxed) {
        let began = Instant::now();
        thread::sleep(PAUSE);
        longest = longest.max(began.elapsed().saturating_sub(PAUSE));
    }
    longest
}

fn download_all(place: &Place, line: &str, expected: &str, ended: &AtomicBool) -> Downloads {
    let (mut whole, mut lost) = (0, Vec::new());
    while !ended.load(Ordering::Relaxed) {
        match place.run("bash", &["-c", line]) {
            Ok(sum) if sum == expected => whole += 1,
            Ok(sum) => lost.push(format!("the checksum is {sum}")),
            Err(error) => lost.push(format!("{error:#}")),
        }
        if lost.len() > 100 {
            break;
        }
    }
    (whole, lost)
}
