//! Plain text, well set.

use std::collections::BTreeMap;
use std::env;
use std::io::{self, IsTerminal, Write};

/// The page that the reader sees.
pub(crate) struct Page {
    is_styled: bool,
}

impl Page {
    /// Bold and dim only on a terminal, and not where the reader doesn't want it (no-color.org).
    pub(crate) fn on_stdout() -> Self {
        Self { is_styled: io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none() }
    }

    /// A heading and what it is about.
    pub(crate) fn heading(&self, title: &str, about: &[&str]) {
        self.line("");
        self.line(&self.styled("1", title));
        for line in about {
            self.line(&self.styled("2", line));
        }
        self.line("");
    }

    /// One line. A reader that has gone away (`| head`) is no error: the tour's end is soon.
    pub(crate) fn line(&self, text: &str) {
        let mut out = io::stdout().lock();
        let _ = writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush());
    }

    /// Lines, indented.
    pub(crate) fn block(&self, text: &str) {
        for line in text.lines() {
            self.line(&format!("  {line}"));
        }
    }

    fn styled(&self, code: &str, text: &str) -> String {
        if self.is_styled { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// How often each was chosen, drawn: bars that begin at the same column on every line, unless one is longer
/// than `width`.
pub(crate) fn spread(counts: &BTreeMap<String, usize>, width: usize) -> String {
    let draw = |(name, count): (&String, &usize)| format!("{name} {count:>2} {:<width$}", "■".repeat(*count));
    counts.iter().map(draw).collect::<Vec<_>>().join("  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_drawn_with_one_mark_a_dial() {
        let counts = [("pod-a", 3), ("pod-b", 1)].map(|(name, count)| (name.to_owned(), count));
        assert_eq!(spread(&BTreeMap::from(counts), 4), "pod-a  3 ■■■   pod-b  1 ■   ");
    }
}
