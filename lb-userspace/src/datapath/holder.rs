//! Who holds the lock on a directory of pins: as the kernel knows it, so that it is never what somebody once wrote.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use jiff::Timestamp;

/// The process that holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its id, as seen from here.
    pub pid: u32,
    /// Its command line.
    pub command: String,
    /// When it began.
    pub since: Option<Timestamp>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} (`{}`", self.pid, self.command)?;
        if let Some(since) = self.since {
            write!(f, ", since {since:.0}")?;
        }
        f.write_str(")")
    }
}

impl Holder {
    /// Of the lock on `directory`; `None` where the kernel tells of none, or of a process that can't be seen from
    /// here (another container's).
    pub(super) fn of(directory: &Path) -> Option<Self> {
        let metadata = fs::metadata(directory).ok()?;
        let (device, inode) = (metadata.dev(), metadata.ino());
        let file = format!("{:02x}:{:02x}:{inode}", rustix::fs::major(device), rustix::fs::minor(device));
        let pid = pid_in(&fs::read_to_string("/proc/locks").ok()?, &file)?;
        let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let command = String::from_utf8_lossy(&command).trim_end_matches('\0').replace('\0', " ");
        let since = began(
            &fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default(),
            &fs::read_to_string("/proc/stat").unwrap_or_default(),
        );
        Some(Self { pid, command, since })
    }
}

/// The process with a lock on a file, in the words of /proc/locks: `1: FLOCK ADVISORY WRITE 77 00:2a:5 0 EOF`. One
/// of which nothing can be seen is 0 or less.
fn pid_in(locks: &str, file: &str) -> Option<u32> {
    let lines = locks.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut pids = lines.filter_map(|words| match words.as_slice() {
        [_, "FLOCK", _, _, pid, of, ..] if *of == file => pid.parse().ok(),
        _ => None,
    });
    pids.find(|pid| *pid > 0)
}

/// When a process began, by /proc/PID/stat (field 22, behind the name, which may have any characters) and the
/// machine's /proc/stat.
fn began(process: &str, machine: &str) -> Option<Timestamp> {
    /// `USER_HZ`, the same on every architecture that this is built for.
    const TICKS_PER_SECOND: i64 = 100;
    let (_, fields) = process.rsplit_once(')')?;
    let ticks: i64 = fields.split_whitespace().nth(19)?.parse().ok()?;
    let booted = machine.lines().find_map(|line| line.strip_prefix("btime "))?;
    let booted: i64 = booted.trim().parse().ok()?;
    Timestamp::from_second(booted + ticks / TICKS_PER_SECOND).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_is_found_among_locks_of_all_kinds() {
        let locks = "1: POSIX  ADVISORY  WRITE 12 00:2a:5 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 34 00:2a:55 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 56 00:2a:5 0 EOF\n\
                     4: FLOCK  ADVISORY  WRITE -1 00:2a:7 0 EOF\n\
                     3: -> FLOCK  ADVISORY  WRITE 78 00:2a:5 0 EOF\n";
        assert_eq!(pid_in(locks, "00:2a:5"), Some(56));
        assert_eq!((pid_in(locks, "00:2a:7"), pid_in(locks, "00:2a:6")), (None, None));
    }

    #[test]
    fn a_name_with_blanks_and_brackets_does_not_hide_when_a_process_began() {
        let process = "77 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 360050 20 21";
        let began = began(process, "cpu 1 2\nbtime 1700000000\n").expect("a time");
        let holder = Holder { pid: 77, command: "shunt run".to_owned(), since: Some(began) };
        assert_eq!(holder.to_string(), "process 77 (`shunt run`, since 2023-11-14T23:13:20Z)");
    }
}
