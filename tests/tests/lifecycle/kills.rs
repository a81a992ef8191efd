//! Killed at any moment, an instance loses nothing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lb_tests::Options;
use lb_tests::soak::{Churn, Keeper, Load, PATHS, Source, Stage, Tally};

const KILLS: usize = 200;
const KILLS_OF_A_CLUSTER: usize = 30;
/// The world changes at most so rarely.
const CHURN: Duration = Duration::from_millis(30);
/// How long a device is there, and is not: the kernel's one lock on devices is free in between.
const DEVICE: Duration = Duration::from_millis(100);
const DOWNLOAD: Duration = Duration::from_secs(10);

/// What chance begins with: `$SOAK_SEED`, or another one each time.
fn seed() -> u64 {
    let seed = std::env::var("SOAK_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("SOAK_SEED={seed}");
    seed
}

#[test]
fn two_hundred_kills_under_churn_and_load_lose_no_dial_and_no_download() {
    let stage = Stage::set().expect("a stage");
    let (tally, in_start) = kill(&stage, &Source::Manifests, KILLS);
    // The dials show something: others could have been wrong, on every path; and so do the kills.
    for path in PATHS {
        let dials = &tally.dials[path.name];
        assert!(dials.could_be_wrong >= 100, "{}: {dials:?}", path.name);
    }
    // One of two was to be in the start, and is where a start takes as long as the one before: on a machine with much
    // else to do it may take longer or not as long.
    assert!((10..=KILLS as u64 - 10).contains(&in_start), "{in_start} of {KILLS} kills were in the start");
    assert!(tally.transfers.values().all(|whole| *whole > 0), "{tally}");
}

#[test]
fn thirty_kills_of_an_instance_of_a_cluster_under_churn_and_load_lose_no_dial_and_no_download() {
    let stage = Stage::set().expect("a stage");
    let source = Source::cluster(&stage).expect("an API server");
    let (tally, _) = kill(&stage, &source, KILLS_OF_A_CLUSTER);
    for path in PATHS {
        let dials = &tally.dials[path.name];
        assert!(dials.could_be_wrong >= 20, "{}: {dials:?}", path.name);
    }
}

/// Kills an instance so often under churn and load; nothing is lost. How many of the kills were in a start.
#[track_caller]
fn kill(stage: &Stage, source: &Source, kills: usize) -> (Tally, u64) {
    let seed = seed();
    let mut churn = Churn::prepare(stage, source).expect("a world");
    let mut keeper = Keeper::begin(stage, source, Options::default(), seed).expect("an instance");
    let before = keeper.figures().expect("figures");
    churn.begin(seed, CHURN).expect("the first version in force");
    let mut tally = Tally::default();
    let load = Load::begin(stage, DOWNLOAD).expect("load");
    let is_over = AtomicBool::new(false);
    let began = std::time::Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| devices_come_and_go(stage, &is_over));
        let killed = (1..=kills).try_for_each(|kill| {
            keeper.kill(&mut tally)?;
            if kill % 50 == 0 {
                println!("{kill} kills, {:?}", began.elapsed());
            }
            Ok::<_, anyhow::Error>(())
        });
        is_over.store(true, Ordering::Relaxed);
        killed.unwrap_or_else(|error| panic!("{error:#}"));
    });
    keeper.wait().expect("all in force in the end");
    churn.wait_for_next().unwrap_or_else(|error| panic!("{error:#}"));
    tally.add(load.end(&churn).expect("a tally"));
    let in_start = tally.ended_in_start;
    println!("a start takes {:?}, {:?} versions\n{tally}", keeper.need(), churn.versions());
    println!("{in_start} of {kills} kills were in the start");

    assert_eq!(tally.lost(), 0, "{tally}");
    assert_eq!(keeper.errors(), Vec::<String>::new());
    assert_eq!(keeper.figures().expect("figures").pins, before.pins, "pins");
    (tally, in_start)
}

/// Devices that the programs are attached to, added and taken away.
fn devices_come_and_go(stage: &Stage, is_over: &AtomicBool) {
    while !is_over.load(Ordering::Relaxed) {
        let address = "addr add 192.168.78.1/24 dev extra0";
        stage
            .node
            .ip(&["link add extra0 type veth peer name extra1", address, "link set extra0 up"])
            .expect("a device");
        std::thread::sleep(DEVICE);
        stage.node.ip(&["link del extra0"]).expect("no device");
        std::thread::sleep(DEVICE);
    }
}
