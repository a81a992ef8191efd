//! Metrics in the older of Prometheus' two formats, made of the newer one: pure.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/> against OpenMetrics 1.0: there is no word for
//! the end, nor for units; a counter has the name by which it is read; what is `unknown` is `untyped`.

use std::collections::BTreeSet;
use std::fmt::Write;

/// The types of both formats, where they differ.
const TYPES: [(&str, &str); 3] = [("unknown", "untyped"), ("info", "gauge"), ("stateset", "gauge")];

/// The same metrics as `open`, which is OpenMetrics.
pub(super) fn plain(open: &str) -> String {
    let kind = |line: &str| Some(line.strip_prefix("# TYPE ")?.split_once(' ')?.1.to_owned());
    let name = |line: &str| Some(line.strip_prefix("# TYPE ")?.split_once(' ')?.0.to_owned());
    let counters = open.lines().filter(|line| kind(line).as_deref() == Some("counter"));
    let counters: BTreeSet<String> = counters.filter_map(name).collect();
    let mut text = String::with_capacity(open.len());
    for line in open.lines() {
        let _never = match line.strip_prefix("# ") {
            None => writeln!(text, "{line}"),
            Some(about) => match about.splitn(3, ' ').collect::<Vec<_>>()[..] {
                [word @ ("HELP" | "TYPE"), name, rest] => {
                    let suffix = if counters.contains(name) { "_total" } else { "" };
                    let same = TYPES.iter().find(|(open, _)| word == "TYPE" && rest == *open);
                    writeln!(text, "# {word} {name}{suffix} {}", same.map_or(rest, |(_, plain)| plain))
                }
                _ => Ok(()),
            },
        };
    }
    text
}

/// Whether whoever asks so understands OpenMetrics.
pub(super) fn wants_open(accept: &str) -> bool {
    accept.split(',').any(|kind| {
        let mut parts = kind.split(';').map(str::trim);
        parts.next() == Some("application/openmetrics-text") && !parts.any(|part| part == "q=0")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_has_the_name_it_is_read_by_and_the_end_is_no_line() {
        let open = "# HELP a Things.\n# TYPE a counter\na_total{code=\"200\"} 1\n# HELP b_seconds How long.\n\
                    # UNIT b_seconds seconds\n# TYPE b_seconds unknown\nb_seconds 0.5\n# EOF\n";
        let expected = "# HELP a_total Things.\n# TYPE a_total counter\na_total{code=\"200\"} 1\n\
                        # HELP b_seconds How long.\n# TYPE b_seconds untyped\nb_seconds 0.5\n";
        assert_eq!(plain(open), expected);
    }

    #[test]
    fn who_names_openmetrics_gets_it() {
        let prometheus =
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        assert!(wants_open(prometheus));
        assert!(wants_open("application/openmetrics-text"));
        for other in ["", "*/*", "text/plain", "application/openmetrics-text;q=0, text/plain"] {
            assert!(!wants_open(other), "{other}");
        }
    }
}
