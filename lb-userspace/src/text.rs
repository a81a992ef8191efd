//! Text of others on a line of ours.
//!
//! Names, values and error messages come from manifests and from an API server: they may hold any character, and
//! a megabyte of it. On a terminal or in a log they must neither begin a line nor give an order to the terminal.
//! JSON and metrics escape by themselves.

use std::fmt::{self, Display, Write};

/// Bytes of a name or a value that are shown: the longest name that Kubernetes allows has 253.
const MOST_OF_A_NAME: usize = 320;

/// Bytes of a sentence that are shown.
const MOST_OF_A_SENTENCE: usize = 2048;

/// A name or a value, on one line, escaped, and cut where it is too long to be one.
pub(crate) fn name(value: impl Display) -> impl Display {
    OneLine { value, most: MOST_OF_A_NAME }
}

/// A sentence that others' text is part of.
pub(crate) fn sentence(value: impl Display) -> impl Display {
    OneLine { value, most: MOST_OF_A_SENTENCE }
}

/// A text that is kept, without what is beyond so many bytes; how much that is, is said.
pub(crate) fn cut(mut text: String, most: usize) -> String {
    let left_out = text.len() - text.floor_char_boundary(most);
    if left_out > 0 {
        text.truncate(text.len() - left_out);
        text.push_str(&format!("… ({left_out} bytes more)"));
        text.shrink_to_fit();
    }
    text
}

/// Several lines of ours that others' text is part of: each stays as long as it is, what is no text is escaped.
pub(crate) fn lines(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for part in text.split_inclusive('\n') {
        let line = part.strip_suffix('\n').unwrap_or(part);
        // A string takes all.
        let _written = Escaped::new(&mut plain, usize::MAX).write_str(line);
        if line.len() < part.len() {
            plain.push('\n');
        }
    }
    plain
}

struct OneLine<T> {
    value: T,
    most: usize,
}

impl<T: Display> Display for OneLine<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut escaped = Escaped::new(f, self.most);
        write!(escaped, "{}", self.value)?;
        escaped.end()
    }
}

/// Writes on without what would not be seen as text, up to a limit.
pub(crate) struct Escaped<W> {
    out: W,
    room: usize,
    left_out: usize,
}

impl<W: Write> Escaped<W> {
    /// `most` bytes are written at most, and what [`Self::end`] says.
    pub(crate) fn new(out: W, most: usize) -> Self {
        Self { out, room: most, left_out: 0 }
    }

    /// Says how much was left out.
    pub(crate) fn end(mut self) -> fmt::Result {
        if self.left_out == 0 { Ok(()) } else { write!(self.out, "… ({} bytes more)", self.left_out) }
    }
}

impl<W: Write> Write for Escaped<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut start = 0;
        for (at, character) in text.char_indices() {
            let is_plain = !is_hidden(character);
            let length = if is_plain { character.len_utf8() } else { character.escape_default().len() };
            if self.left_out > 0 || length > self.room {
                self.out.write_str(text.get(start..at).unwrap_or_default())?;
                self.left_out += text.len() - at;
                self.room = 0;
                return Ok(());
            }
            self.room -= length;
            if !is_plain {
                self.out.write_str(text.get(start..at).unwrap_or_default())?;
                write!(self.out, "{}", character.escape_default())?;
                start = at + character.len_utf8();
            }
        }
        self.out.write_str(text.get(start..).unwrap_or_default())
    }
}

/// Control characters (a newline, the escape of terminals), what ends a line elsewhere, and what turns the
/// direction of what follows (Unicode Standard Annex 9).
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_is_escaped_and_the_rest_is_as_it_was() {
        assert_eq!(
            name("web\n2026 ERROR \u{1b}[2Jö → «»\\").to_string(),
            "web\\n2026 ERROR \\u{1b}[2Jö → «»\\"
        );
        assert_eq!(name("a\u{202e}b\u{9b}c\u{7f}\r\0").to_string(), "a\\u{202e}b\\u{9b}c\\u{7f}\\r\\u{0}");
        assert_eq!(name("").to_string(), "");
    }

    #[test]
    fn what_is_kept_is_cut_between_characters_and_no_longer_than_it_may_be() {
        assert_eq!(cut("four".to_owned(), 4), "four");
        assert_eq!(cut("fööur".to_owned(), 4), "fö… (4 bytes more)");
        let kept = cut("x".repeat(1 << 20), 1024);
        assert!(kept.len() < 1100 && kept.capacity() < 2048, "{}", kept.capacity());
    }

    #[test]
    fn what_is_too_long_is_cut_between_characters_and_said_to_be() {
        let long = "ö".repeat(1 << 20);
        let shown = name(&long).to_string();
        let rest = long.len() - MOST_OF_A_NAME;
        assert_eq!(shown, format!("{}… ({rest} bytes more)", "ö".repeat(MOST_OF_A_NAME / 2)));
        assert!(name("\n".repeat(1 << 20)).to_string().len() < MOST_OF_A_NAME + 32);
        assert_eq!(name("x".repeat(MOST_OF_A_NAME)).to_string().len(), MOST_OF_A_NAME);
    }

    #[test]
    fn lines_of_ours_stay_lines() {
        assert_eq!(lines("a\u{1b}[1m\n\n  b\r\nc"), "a\\u{1b}[1m\n\n  b\\r\nc");
    }
}
