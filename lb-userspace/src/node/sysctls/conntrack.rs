//! Settings of conntrack, as kube-proxy's flags of the same names have them.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::{Setting, Wanted};

/// What an entry of the hash table is shared by, at most: kube-proxy's proportion.
const PER_BUCKET: u64 = 4;
/// kube-proxy's limit of what is scaled by processors.
const MOST: u64 = 1 << 20;

/// How conntrack should be; 0 leaves a setting alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conntrack {
    /// Entries for each processor; 0 leaves the size alone.
    pub max_per_core: u32,
    /// Entries at least.
    pub min: u32,
    /// Of a TCP connection with nothing to say.
    pub tcp_established: Duration,
    /// Of a TCP connection that one end has closed.
    pub tcp_close_wait: Duration,
    /// Packets outside of the window are let through.
    pub tcp_be_liberal: bool,
    /// Of a UDP flow without an answer.
    pub udp: Duration,
    /// Of a UDP flow with answers.
    pub udp_stream: Duration,
}

impl Conntrack {
    /// The settings, in the order in which they are to be made, on a machine with so many processors.
    pub fn settings(&self, cpus: u32) -> Vec<Setting> {
        let mut settings = Vec::new();
        let mut put = |file, wanted| settings.push(Setting { file, wanted });
        if let Some(max) = self.max(cpus) {
            let buckets = Wanted::AtLeast(max / PER_BUCKET);
            put("sys/module/nf_conntrack/parameters/hashsize", buckets);
            put("proc/sys/net/netfilter/nf_conntrack_max", Wanted::AtLeast(max));
        }
        for (file, time) in [
            ("proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established", self.tcp_established),
            ("proc/sys/net/netfilter/nf_conntrack_tcp_timeout_close_wait", self.tcp_close_wait),
            ("proc/sys/net/netfilter/nf_conntrack_udp_timeout", self.udp),
            ("proc/sys/net/netfilter/nf_conntrack_udp_timeout_stream", self.udp_stream),
        ] {
            // The kernel counts in seconds; less than one is one.
            let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
            if seconds > 0 {
                put(file, Wanted::Exactly(seconds));
            }
        }
        if self.tcp_be_liberal {
            put("proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal", Wanted::Exactly(1));
        }
        settings
    }

    fn max(&self, cpus: u32) -> Option<u64> {
        let scaled = u64::from(self.max_per_core) * u64::from(cpus);
        (scaled > 0).then(|| if scaled > MOST { MOST } else { scaled.max(u64::from(self.min)) })
    }
}

/// How many processors the machine has, not how many this process may use; 1 where it does not tell.
pub fn cpus(root: &Path) -> u32 {
    let text = fs::read_to_string(root.join("sys/devices/system/cpu/present")).unwrap_or_default();
    let range = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(last.parse::<u32>().ok()?.checked_sub(first.parse().ok()?)? + 1)
    };
    text.trim().split(',').filter_map(range).sum::<u32>().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As kube-proxy has it.
    const DEFAULT: Conntrack = Conntrack {
        max_per_core: 32_768,
        min: 131_072,
        tcp_established: Duration::from_secs(86_400),
        tcp_close_wait: Duration::from_secs(3600),
        tcp_be_liberal: false,
        udp: Duration::ZERO,
        udp_stream: Duration::ZERO,
    };

    fn named(settings: &[Setting]) -> Vec<(&str, Wanted)> {
        settings.iter().map(|one| (one.file.rsplit('/').next().unwrap_or_default(), one.wanted)).collect()
    }

    #[test]
    fn the_defaults_are_those_of_kube_proxy() {
        use Wanted::{AtLeast, Exactly};
        let expected = [
            ("hashsize", AtLeast(65_536)),
            ("nf_conntrack_max", AtLeast(262_144)),
            ("nf_conntrack_tcp_timeout_established", Exactly(86_400)),
            ("nf_conntrack_tcp_timeout_close_wait", Exactly(3600)),
        ];
        assert_eq!(named(&DEFAULT.settings(8)), expected);
    }

    #[test]
    fn the_size_is_scaled_by_processors_within_bounds() {
        let max = |cpus| DEFAULT.max(cpus);
        assert_eq!(
            (max(1), max(4), max(16), max(64)),
            (Some(131_072), Some(131_072), Some(524_288), Some(MOST))
        );
        assert_eq!(Conntrack { max_per_core: 0, ..DEFAULT }.max(8), None);
    }

    #[test]
    fn nothing_is_set_that_is_to_be_left_alone() {
        let zero = Duration::ZERO;
        let none = Conntrack { max_per_core: 0, tcp_established: zero, tcp_close_wait: zero, ..DEFAULT };
        assert_eq!(none.settings(8), []);
    }

    #[test]
    fn processors_are_counted_by_ranges() {
        let root = tempfile::tempdir().expect("a directory");
        assert_eq!(cpus(root.path()), 1);
        let folder = root.path().join("sys/devices/system/cpu");
        fs::create_dir_all(&folder).expect("directories");
        fs::write(folder.join("present"), "0-3,8\n").expect("processors");
        assert_eq!(cpus(root.path()), 5);
    }
}
