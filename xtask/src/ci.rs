//! Everything that must hold before a change lands.

use anyhow::Result;

use crate::check;
use crate::test::{self, Skips};

/// Every tier, with nothing skipped, then every check.
pub(crate) fn run() -> Result<()> {
    test::all(Skips::Refused)?;
    check::run()
}
