//! The processes of a cgroup: which network namespaces they are in, and what sockets they hold.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Network namespaces by their inode, each with the processes that are in it.
pub(super) type Namespaces = BTreeMap<u64, Vec<i32>>;

/// The network namespaces of the processes of a cgroup and of those below it. Processes that end meanwhile, or
/// can't be looked into, are not in it; how many of the latter is told.
pub(super) fn namespaces(cgroup: &Path) -> io::Result<(Namespaces, usize)> {
    let (mut namespaces, mut hidden) = (Namespaces::new(), 0);
    for pid in processes(cgroup)? {
        match fs::metadata(namespace_of(pid)) {
            Ok(found) => {
                use std::os::unix::fs::MetadataExt;
                namespaces.entry(found.ino()).or_default().push(pid);
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => hidden += 1,
            Err(_) => {}
        }
    }
    Ok((namespaces, hidden))
}

/// Moves the calling thread, and no other, into the network namespace of one of these processes: the first
/// that is still there.
pub(super) fn enter(processes: &[i32]) -> io::Result<()> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for pid in processes {
        let entered = File::open(namespace_of(*pid)).and_then(|namespace| {
            Ok(move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?)
        });
        match entered {
            Ok(()) => return Ok(()),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Descriptors of the sockets with these inodes, taken over from a process that holds them.
pub(super) fn take_sockets(pid: i32, inodes: &BTreeSet<u32>) -> Vec<(u32, OwnedFd)> {
    let Some(process) = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else {
        return Vec::new();
    };
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return Vec::new();
    };
    let held = entries.flatten().filter_map(|entry| {
        let inode = socket_inode(&fs::read_link(entry.path()).ok()?)?;
        let number = entry.file_name().to_str()?.parse().ok()?;
        let fd = inodes.contains(&inode).then(|| pidfd_getfd(&process, number, PidfdGetfdFlags::empty()));
        // It may be another descriptor by now: whoever asks it looks at what it is.
        Some((inode, fd?.ok()?))
    });
    held.collect()
}

fn processes(cgroup: &Path) -> io::Result<BTreeSet<i32>> {
    let mut found = BTreeSet::new();
    let mut directories = vec![cgroup.to_owned()];
    // A cgroup that goes meanwhile has no processes; the first one is asked for by name.
    fs::metadata(cgroup)?;
    while let Some(directory) = directories.pop() {
        // The processes of a threaded cgroup are told by the one above it.
        let text = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
        // 0 stands for a process that has no id here.
        found.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|pid| *pid > 0));
        let entries = fs::read_dir(&directory).into_iter().flatten().flatten();
        let below = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        directories.extend(below.map(|entry| entry.path()));
    }
    Ok(found)
}

fn namespace_of(pid: i32) -> PathBuf {
    format!("/proc/{pid}/ns/net").into()
}

/// Of `socket:[4026]`
fn socket_inode(link: &Path) -> Option<u32> {
    link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sockets_have_the_inode_of_a_socket() {
        assert_eq!(socket_inode(Path::new("socket:[4026]")), Some(4026));
        assert_eq!(socket_inode(Path::new("pipe:[4026]")), None);
        assert_eq!(socket_inode(Path::new("/dev/null")), None);
    }

    #[test]
    fn processes_are_those_of_a_cgroup_and_of_all_below_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let below = dir.path().join("pod/container");
        fs::create_dir_all(&below).expect("cgroups");
        fs::write(dir.path().join("cgroup.procs"), "7\n0\n").expect("processes");
        fs::write(below.join("cgroup.procs"), "9\n8\n").expect("processes");
        assert_eq!(processes(dir.path()).expect("processes"), BTreeSet::from([7, 8, 9]));
        assert!(processes(&dir.path().join("none")).is_err());
    }
}
