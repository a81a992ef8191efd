//! What test processes left behind that were killed before they could clean up.

use std::env;
use std::fs;
use std::path::Path;
use std::sync::Once;

use nix::mount::{MntFlags, umount2};

use crate::{cgroup, name, netns};

/// Removes it, once in the life of this process. Only what has our prefix and the number of a process that
/// is gone; another process may sweep at the same time, so that nothing here is an error.
pub(crate) fn sweep() {
    static DONE: Once = Once::new();
    DONE.call_once(|| {
        if let Ok(root) = cgroup::mount_point() {
            for orphan in orphans(&root) {
                let _ = cgroup::remove(&root.join(orphan));
            }
        }
        for orphan in orphans(Path::new(netns::DIR)) {
            netns::delete(&orphan);
        }
        for orphan in orphans(&env::temp_dir()) {
            let dir = env::temp_dir().join(orphan);
            unmount(&dir);
            let _ = fs::remove_dir_all(&dir);
        }
    });
}

fn orphans(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name::is_orphan(name))
        .collect()
}

/// Unmounts what is mounted below a directory.
pub(crate) fn unmount(dir: &Path) {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let places = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    // The last mounted first.
    for place in places.filter(|place| Path::new(place).starts_with(dir)).collect::<Vec<_>>().iter().rev() {
        if let Err(error) = umount2(*place, MntFlags::MNT_DETACH) {
            eprintln!("{place} stays mounted: {error}");
        }
    }
}
