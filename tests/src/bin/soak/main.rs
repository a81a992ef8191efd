//! `cargo xtask soak`: churn, load, kills and faults for as long as one likes, told each minute and summed up at
//! the end. Exits with 1 where anything was lost.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::{Parser, ValueEnum};
use lb_tests::Options;
use lb_tests::soak::{Churn, Disk, Fault, Figures, Keeper, Load, Source, Stage, Tally};
use serde::Serialize;

/// One round: what is judged and told at once.
const ROUND: Duration = Duration::from_secs(60);
/// The world changes at most so rarely.
const CHURN: Duration = Duration::from_millis(100);
const DOWNLOAD: Duration = Duration::from_secs(15);
/// How much a figure may grow over the whole run: files that are open, and pins.
const SLACK: usize = 8;
/// Resident memory may grow by this much, KiB: an allocator's leftovers, not a leak of every change.
const RSS_SLACK_KIB: u64 = 16 << 10;

/// Mixes churn, load, kills and faults, and tells what was lost.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// How long
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// What chance begins with [default: another one each time]
    #[arg(long)]
    seed: Option<u64>,
    /// Neither kills nor faults: what is lost is not lost by them
    #[arg(long)]
    calm: bool,
    /// For a cluster and its API server instead of a directory of manifests; the faults that are a directory's or a
    /// state file's are left out
    #[arg(long)]
    cluster: bool,
    /// How it is told
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people
    Text,
    /// One JSON value for each minute, and one at the end
    Json,
}

/// What is told.
#[derive(Serialize)]
struct Told<'a> {
    /// Of one minute, or of the whole.
    what: &'a str,
    seed: u64,
    /// Since the beginning.
    seconds: u64,
    /// Versions of the world that were in force.
    versions: usize,
    lost: u64,
    figures: Figures,
    #[serde(flatten)]
    tally: &'a Tally,
}

fn main() -> Result<ExitCode> {
    let cli = Cli::parse();
    let seed = cli.seed.unwrap_or_else(|| fastrand::u64(..));
    if cli.output == Output::Text {
        let source = if cli.cluster { " --cluster" } else { "" };
        println!("seed {seed}: cargo xtask soak --minutes {} --seed {seed}{source}", cli.minutes);
    }
    let stage = Stage::set()?;
    let disk = Disk::mount(&stage)?;
    let source = if cli.cluster { Source::cluster(&stage)? } else { Source::Manifests };
    let faults = if cli.cluster { &[Fault::Device][..] } else { &Fault::ALL };
    let mut churn = Churn::prepare(&stage, &source)?;
    let options = Options {
        state_file: Some(disk.state_file()),
        arguments: ["--log", "info,lb_userspace=debug"].map(Into::into).to_vec(),
        ..Options::default()
    };
    let mut keeper = Keeper::begin(&stage, &source, options, seed)?;
    churn.begin(seed, CHURN)?;
    let first = keeper.figures()?;
    let began = Instant::now();
    let mut random = fastrand::Rng::with_seed(seed);
    let mut total = Tally::default();
    let tell = |what: &str, tally: &Tally, keeper: &Keeper<'_>, versions| -> Result<()> {
        let (seconds, figures) = (began.elapsed().as_secs(), keeper.figures()?);
        let told = Told { what, seed, seconds, versions, lost: tally.lost(), figures, tally };
        match cli.output {
            Output::Text => println!("{what} {seconds} s, {versions} versions, {figures:?}\n{tally}"),
            Output::Json => println!("{}", serde_json::to_string(&told)?),
        }
        Ok(())
    };
    while began.elapsed() < ROUND * u32::try_from(cli.minutes).unwrap_or(u32::MAX) {
        let mut tally = Tally::default();
        let load = Load::begin(&stage, DOWNLOAD)?;
        let round = Instant::now();
        while round.elapsed() + DOWNLOAD < ROUND {
            if cli.calm {
                std::thread::sleep(CHURN);
                continue;
            }
            step(&stage, &disk, &mut keeper, (faults, &mut random), &mut tally)?;
        }
        keeper.wait()?;
        churn.wait_for_next().unwrap_or_else(|error| tally.wrongs.push(format!("{error:#}")));
        tally.add(load.end(&churn)?);
        keeper.forget_errors();
        source.tidy();
        tell("minute", &tally, &keeper, churn.versions().1)?;
        total.add(tally);
    }
    churn.end()?;
    keeper.wait()?;
    compare(first, keeper.figures()?, &mut total);
    tell("end", &total, &keeper, churn.versions().1)?;
    Ok(if total.lost() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Ten kills, a stop, or a fault.
fn step(
    stage: &Stage,
    disk: &Disk,
    keeper: &mut Keeper<'_>,
    (faults, random): (&[Fault], &mut fastrand::Rng),
    tally: &mut Tally,
) -> Result<()> {
    match random.u8(..4) {
        0 | 1 => (0..10).try_for_each(|_| keeper.kill(tally)),
        2 => keeper.stop(tally),
        _ => {
            let fault = faults[random.usize(..faults.len())];
            *tally.faults.entry(fault.name().to_owned()).or_default() += 1;
            if let Err(error) = fault.happen(stage, keeper, disk) {
                tally.wrongs.push(format!("{error:#}"));
            }
            Ok(())
        }
    }
}

/// Nothing is to have grown.
fn compare(first: Figures, last: Figures, tally: &mut Tally) {
    let grown = |first: usize, last: usize| last > first + SLACK;
    if grown(first.fds, last.fds) {
        tally.wrongs.push(format!("open files have grown from {} to {}", first.fds, last.fds));
    }
    if grown(first.pins, last.pins) {
        tally.wrongs.push(format!("pins have grown from {} to {}", first.pins, last.pins));
    }
    if last.rss_kib > first.rss_kib + RSS_SLACK_KIB {
        tally.wrongs.push(format!("memory has grown from {} KiB to {}", first.rss_kib, last.rss_kib));
    }
}
