//! The demo: what it shows is so, and nothing is left of it however it ends.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use lb_tests::{Process, programs_dir};

/// From its start to the end of its tour; nothing waits this long unless it fails.
const PATIENCE: Duration = Duration::from_secs(180);

#[track_caller]
fn demo(arguments: &[&str]) -> Process {
    let mut command = Command::new(programs_dir().expect("the programs").join("demo"));
    command.args(["--examples", "../examples"]).args(arguments);
    Process::start("the demo", &mut command).unwrap_or_else(|error| panic!("{error:#}"))
}

/// Everything on this machine that bears the name of a process.
fn traces(pid: u32) -> Vec<String> {
    let prefix = format!("shunt-{pid}-");
    let cgroups = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
    let temporary = std::env::temp_dir();
    let dirs = cgroups.iter().map(Path::new).chain([Path::new("/run/netns"), &temporary]);
    let entries = dirs.filter_map(|dir| fs::read_dir(dir).ok()).flatten().flatten();
    let names = entries.map(|entry| entry.path().display().to_string());
    let mounts = fs::read_to_string("/proc/self/mounts").expect("the mounts");
    names.chain(mounts.lines().map(str::to_owned)).filter(|trace| trace.contains(&prefix)).collect()
}

#[test]
fn every_dial_of_the_demo_does_what_it_should_and_nothing_is_left() {
    let demo = demo(&["--once"]);
    let pid = demo.id();
    let said = demo.finish(PATIENCE).unwrap_or_else(|error| panic!("{error:#}"));
    assert!(said.contains("dials did what they should."), "{said}");
    assert_eq!(traces(pid), Vec::<String>::new());
}

#[test]
fn nothing_is_left_of_a_demo_that_is_interrupted_on_its_way() {
    let demo = demo(&[]);
    let pid = demo.id();
    demo.wait_for_line(0, PATIENCE, |line| line == "Who answers").expect("its second chapter");
    assert_ne!(traces(pid), Vec::<String>::new());
    let status = demo.stop().expect("its end");
    assert_eq!(status.code(), Some(130));
    assert_eq!(traces(pid), Vec::<String>::new());
}

#[test]
fn a_demo_stays_up_until_it_is_interrupted() {
    let demo = demo(&[]);
    let pid = demo.id();
    demo.wait_for_line(0, PATIENCE, |line| line.starts_with("It stays up")).expect("its end of the tour");
    let status = demo.stop().expect("its end");
    assert!(status.success(), "{status}");
    assert_eq!(traces(pid), Vec::<String>::new());
}

#[test]
fn what_a_killed_demo_left_is_swept_up_by_the_next() {
    let killed = demo(&[]);
    let pid = killed.id();
    killed.wait_for_line(0, PATIENCE, |line| line == "Who answers").expect("its second chapter");
    killed.kill().expect("its end");
    demo(&["--once"]).finish(PATIENCE).unwrap_or_else(|error| panic!("{error:#}"));
    assert_eq!(traces(pid), Vec::<String>::new());
}
