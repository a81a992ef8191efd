//! Names that say whose they are: `shunt-<process id>-<number>`.

use std::path::Path;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

const PREFIX: &str = "shunt-";

/// A name that no other process, and nothing else of this one, has.
pub(crate) fn unique() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{PREFIX}{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Whether `name` begins with one of ours, and the process that made it is gone.
pub(crate) fn is_orphan(name: &str) -> bool {
    owner(name).is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists())
}

fn owner(name: &str) -> Option<u32> {
    let (pid, rest) = name.strip_prefix(PREFIX)?.split_once('-')?;
    let number = rest.split('-').next()?;
    number.parse::<u32>().ok()?;
    pid.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_names_are_alike_and_each_names_its_owner() {
        let (one, other) = (unique(), unique());
        assert_ne!(one, other);
        assert_eq!(owner(&one), Some(process::id()));
        assert_eq!(owner(&format!("{one}-pod-a")), Some(process::id()));
        assert!(!is_orphan(&one), "this process lives");
    }

    #[test]
    fn names_that_are_not_ours_have_no_owner() {
        for name in ["shunt", "shunt-", "shunt-12", "shunt-x-1", "shunt-12-x", "cni-12-1", "shunt-demo-1"] {
            assert_eq!(owner(name), None, "{name}");
        }
    }

    #[test]
    fn what_a_dead_process_left_is_an_orphan() {
        // Above the largest process id that Linux gives away (PID_MAX_LIMIT, 2^22).
        assert!(is_orphan("shunt-4194305-0-node"));
    }
}
