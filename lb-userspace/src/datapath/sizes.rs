//! How large maps are to be, where that is not as the object has it.

use std::str::FromStr;

use super::layout::SIZED;

/// More entries than a map may have: 64 Mi would be gigabytes.
const MOST: u32 = 1 << 26;

/// The size of a map, as in `FLOWS=1048576`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MapSize {
    /// Its name.
    pub map: &'static str,
    /// Entries at most.
    pub entries: u32,
}

impl FromStr for MapSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, entries) = text.split_once('=').ok_or("not a map and its size, as in FLOWS=1048576")?;
        let map = SIZED.into_iter().find(|map| *map == name);
        let map = map.ok_or_else(|| {
            format!("no map of this name has a size to choose; there are {}", SIZED.join(", "))
        })?;
        match entries.parse() {
            // One element of an array is for «none».
            Ok(entries @ 2..=MOST) => Ok(Self { map, entries }),
            _ => Err(format!("{entries:?} is not a whole number from 2 to {MOST}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_a_map_that_can_have_one_and_a_number_that_makes_sense() {
        assert_eq!("FLOWS=64".parse(), Ok(MapSize { map: "FLOWS", entries: 64 }));
        for (text, why) in [
            ("FLOWS", "not a map and its size"),
            ("FILTER=64", "there are FRONTENDS, RANGES, "),
            ("FLOWS=1", "from 2 to"),
            ("FLOWS=4G", "\"4G\" is not a whole number"),
            ("FLOWS=67108865", "from 2 to 67108864"),
        ] {
            let said = text.parse::<MapSize>().expect_err(text);
            assert!(said.contains(why), "{said}");
        }
    }
}
