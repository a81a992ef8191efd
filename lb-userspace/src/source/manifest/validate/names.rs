//! Names as Kubernetes has them (`apimachinery/pkg/util/validation`).

/// Which names a kind's objects may have.
#[derive(Clone, Copy)]
pub(super) enum Rule {
    Label,
    Subdomain,
}

impl Rule {
    pub(super) fn allows(self, text: &str) -> bool {
        match self {
            Self::Label => is_label(text),
            Self::Subdomain => is_subdomain(text),
        }
    }

    /// What a name that is not allowed should have been.
    pub(super) fn description(self) -> &'static str {
        match self {
            Self::Label => "a DNS label: lower-case letters, digits and '-', 63 at most",
            Self::Subdomain => "a DNS subdomain: lower-case letters, digits, '-' and '.', 253 at most",
        }
    }
}

/// A DNS label: RFC 1123 §2.1.
pub(super) fn is_label(text: &str) -> bool {
    text.len() <= 63 && is_words(text, |byte| byte == b'-', |byte| byte.is_ascii_lowercase())
}

/// A DNS subdomain: labels with dots between them.
pub(super) fn is_subdomain(text: &str) -> bool {
    text.len() <= 253
        && text.split('.').all(|part| is_words(part, |byte| byte == b'-', |byte| byte.is_ascii_lowercase()))
}

/// The name of a container port: RFC 6335 §5.1.
pub(super) fn is_port_name(text: &str) -> bool {
    text.len() <= 15
        && is_label(text)
        && !text.contains("--")
        && text.bytes().any(|byte| byte.is_ascii_lowercase())
}

/// The key of a label: a name, with a DNS subdomain and a slash before it or not.
pub(super) fn is_label_key(text: &str) -> bool {
    let name = match text.split_once('/') {
        Some((prefix, name)) if is_subdomain(prefix) => name,
        Some(_) => return false,
        None => text,
    };
    !name.is_empty() && is_label_value(name)
}

/// The value of a label; may be empty.
pub(super) fn is_label_value(text: &str) -> bool {
    let inner = |byte| matches!(byte, b'-' | b'_' | b'.');
    text.is_empty() || text.len() <= 63 && is_words(text, inner, |byte| byte.is_ascii_alphabetic())
}

/// Letters and digits, with others between them.
fn is_words(text: &str, is_inner: impl Fn(u8) -> bool, is_letter: impl Fn(u8) -> bool) -> bool {
    let is_outer = |byte: u8| byte.is_ascii_digit() || is_letter(byte);
    let bytes = text.as_bytes();
    bytes.first().copied().is_some_and(is_outer)
        && bytes.last().copied().is_some_and(is_outer)
        && bytes.iter().all(|byte| is_outer(*byte) || is_inner(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_what_isnt_one() {
        let longest = "a".repeat(63);
        let too_long = "a".repeat(64);
        for (test, good, bad) in [
            (
                is_label as fn(&str) -> bool,
                vec!["a", "web-1", "1", longest.as_str()],
                vec!["", "-a", "a-", "A", "a.b", "a_b", "ä", &too_long],
            ),
            (is_subdomain, vec!["a", "a.b-c.1"], vec!["", ".a", "a.", "a..b", "a.-b", "A.b"]),
            (
                is_port_name,
                vec!["http", "ka-port", "p1"],
                vec!["", "80", "a--b", "-a", "a-", "Http", "sixteen-letters1"],
            ),
            (
                is_label_key,
                vec!["app", "a.b/App_1", "A"],
                vec!["", "/a", "a/", "a/b/c", "A.B/c", "-a", &too_long],
            ),
            (is_label_value, vec!["", "Web_1.a", &longest], vec!["-a", "a-", "a b", "a/b", &too_long]),
        ] {
            for text in good {
                assert!(test(text), "{text:?}");
            }
            for text in bad {
                assert!(!test(text), "{text:?}");
            }
        }
    }
}
