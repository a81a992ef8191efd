//! Which of all objects that ever had a name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// `metadata.uid`: a UUID, as every API server makes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Uid(u128);

/// Not a UUID as in `6ba7b810-9dad-11d1-80b4-00c04fd430c8`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a UUID")]
pub struct NotAUid(String);

/// Hexadecimal digits of a UUID before each hyphen.
const GROUPS: [usize; 5] = [8, 4, 4, 4, 12];

impl FromStr for Uid {
    type Err = NotAUid;

    fn from_str(text: &str) -> Result<Self, NotAUid> {
        let lengths = text.split('-').map(str::len);
        let is_hex = text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
        if !is_hex || !lengths.eq(GROUPS) {
            return Err(NotAUid(text.to_owned()));
        }
        u128::from_str_radix(&text.replace('-', ""), 16).map(Self).map_err(|_| NotAUid(text.to_owned()))
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:032x}", self.0);
        let mut rest = digits.as_str();
        for (index, length) in GROUPS.into_iter().enumerate() {
            let (group, after) = rest.split_at(length);
            write!(f, "{}{group}", if index == 0 { "" } else { "-" })?;
            rest = after;
        }
        Ok(())
    }
}

impl From<Uid> for String {
    fn from(uid: Uid) -> Self {
        uid.to_string()
    }
}

impl TryFrom<String> for Uid {
    type Error = NotAUid;

    fn try_from(text: String) -> Result<Self, NotAUid> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uid_is_written_as_it_was_read_and_nothing_else_is_one() {
        for text in ["00000000-0000-4000-8000-0000000000a7", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"] {
            assert_eq!(text.parse::<Uid>().map(|uid| uid.to_string()), Ok(text.to_owned()));
        }
        for text in
            ["", "web", "6ba7b8109dad-11d1-80b4-00c04fd430c8-", "+ba7b810-9dad-11d1-80b4-00c04fd430c8"]
        {
            assert!(text.parse::<Uid>().is_err(), "{text}");
        }
    }
}
