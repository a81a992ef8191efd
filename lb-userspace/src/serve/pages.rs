//! What kube-proxy tells of itself at `/configz`, `/flagz` and `/statusz`, beside the metrics (MTS-01): for people and
//! for what compares nodes.

use std::fmt::Write;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// Above the last two, as Kubernetes has it.
const WARNING: &str = "Warning: This endpoint is not meant to be machine parseable, has no formatting compatibility \
                       guarantees and is for debugging purposes only.";
/// What there is at this address.
const PATHS: &str = "/configz /flagz /healthz /metrics /proxyMode /statusz";

/// The pages of an instance.
#[derive(Debug, Clone)]
pub struct Pages {
    configz: String,
    flagz: String,
    began: Timestamp,
}

impl Pages {
    /// Of an instance that begins now: kube-proxy's configuration as it is in force, and every flag with its value.
    pub fn new(configuration: &Value, flags: &[(String, String)]) -> Self {
        let mut flags: Vec<_> = flags.iter().collect();
        flags.sort();
        let mut flagz = format!("shunt flags\n{WARNING}\n\n");
        for (flag, value) in flags {
            let _never = writeln!(flagz, "{flag}={value}");
        }
        let configz = json!({ "kubeproxy.config.k8s.io": configuration }).to_string();
        Self { configz, flagz, began: Timestamp::now() }
    }

    /// The configuration, in JSON.
    pub(super) fn configz(&self) -> String {
        self.configz.clone()
    }

    /// A line for each flag.
    pub(super) fn flagz(&self) -> String {
        self.flagz.clone()
    }

    /// Since when it runs, and what it is.
    pub(super) fn statusz(&self, now: Timestamp) -> String {
        let (began, version) = (self.began, env!("CARGO_PKG_VERSION"));
        let up = now.duration_since(began).max(SignedDuration::ZERO);
        let up = SignedDuration::from_secs(up.as_secs());
        format!(
            "shunt statusz\n{WARNING}\n\nStarted: {began:.0}\nUp: {up:#}\nBinary version: {version}\nPaths: {PATHS}\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_told_in_order_and_how_long_it_runs_in_words() {
        let flags = [("pin-dir", "/sys/fs/bpf/shunt"), ("config", "")];
        let flags = flags.map(|(flag, value)| (flag.to_owned(), value.to_owned()));
        let pages = Pages::new(&json!({ "mode": "" }), &flags);
        assert!(pages.flagz().ends_with("\n\nconfig=\npin-dir=/sys/fs/bpf/shunt\n"), "{}", pages.flagz());
        let later = pages.began + SignedDuration::from_secs(3605);
        let said = pages.statusz(later);
        assert!(said.contains("\nUp: 1h 5s\n"), "{said}");
        assert!(pages.statusz(pages.began - SignedDuration::from_secs(9)).contains("\nUp: 0s\n"), "a clock");
    }
}
