//! Nothing but what is for the eye depends on the wall clock: it may jump, and all time-outs are of the monotonic one
//! (docs/operations.md).

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// How one asks for it: here, and of the kernel.
const QUESTIONS: [&str; 9] = [
    "Timestamp::now",
    "Zoned::now",
    "SystemTime",
    "ClockId::Realtime",
    "CLOCK_REALTIME",
    "CLOCK_TAI",
    "gettimeofday",
    "bpf_ktime_get_tai_ns",
    "bpf_jiffies64",
];

/// Who may, and what for.
const FOR_THE_EYE: [(&str, &str); 5] = [
    ("lb-userspace/src/serve/pages.rs", "since when it runs, and what time it is, on /statusz"),
    ("lb-userspace/src/serve/published.rs", "lastUpdated of /healthz, and which delays are this instance's"),
    ("lb-userspace/src/serve/http.rs", "currentTime of /healthz"),
    ("lb-userspace/src/serve/metrics.rs", "metrics of points in time, and of delays by others' clocks"),
    ("lb-userspace/src/source/kubernetes/events/mod.rs", "when an event was"),
];

/// The sources below a directory, without tests.
fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory").flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() && name != "tests" {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") && name != "tests.rs" {
            found.push(path);
        }
    }
}

#[test]
fn only_what_is_for_the_eye_asks_the_wall_clock() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let mut files = Vec::new();
    for part in ["lb-userspace/src", "lb-common/src", "lb-ebpf/src"] {
        sources(&root.join(part), &mut files);
    }
    assert!(files.len() > 100, "{} files", files.len());
    let asks = |path: &&PathBuf| {
        let text = fs::read_to_string(path).expect("a source");
        QUESTIONS.iter().any(|question| text.contains(question))
    };
    let asking = files.iter().filter(asks).map(|path| path.strip_prefix(root).expect("below it"));
    let asking: BTreeSet<String> = asking.map(|path| path.display().to_string()).collect();
    let allowed: BTreeSet<String> = FOR_THE_EYE.iter().map(|(path, _)| (*path).to_owned()).collect();
    assert_eq!(asking, allowed);
}
