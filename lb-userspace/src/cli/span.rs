//! Times on the command line.

use std::str::FromStr;
use std::time::Duration;

/// A time as in `1h30m` or `20ms`; 0 as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "0" {
            return Ok(Self(Duration::ZERO));
        }
        let span: jiff::SignedDuration = text.parse().map_err(|error: jiff::Error| error.to_string())?;
        Duration::try_from(span).map(Self).map_err(|_| "it is less than nothing".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_understood_as_kubernetes_writes_them() {
        for (text, milliseconds) in [
            ("24h0m0s", 86_400_000),
            ("1h0m0s", 3_600_000),
            ("0s", 0),
            ("0", 0),
            ("1.5s", 1500),
            ("20ms", 20),
        ] {
            assert_eq!(text.parse(), Ok(Span(Duration::from_millis(milliseconds))), "{text}");
        }
        assert!("-1s".parse::<Span>().is_err());
        assert!("soon".parse::<Span>().is_err());
    }
}
