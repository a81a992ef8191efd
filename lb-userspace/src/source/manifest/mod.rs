//! The source that needs no cluster: a directory of manifests.
//!
//! It does what an API server and the endpoint controller would do: checks objects, gives Services their
//! numbers, makes endpoints of Pods. A pipeline of pure steps with an edge at either end:
//!
//! ```text
//! read ─► parse ─► decode ─► validate ─► allocate ─► endpoints ─► what changed
//! (files)  (YAML)  (objects)  (faults)   (numbers)   (slices)     (state)
//! ```
//!
//! Nothing wrong in one object keeps another from working, and what is wrong stays as it was when it was last
//! right: see [`ManifestState`].

mod allocate;
mod check;
mod config;
mod contents;
mod decode;
mod endpoints;
mod files;
mod notifier;
mod object;
mod parse;
mod resolve;
mod state;
mod state_file;
mod validate;
mod watch;

pub use allocate::{Held, Ledger, Numbers};
pub use check::{Checked, check};
pub use config::{Config, ConfigError, PortRange};
pub use contents::{Found, found};
pub use decode::{Fault, Kind, Manifest, ObjectId};
pub use files::{Files, MAX_FILE_BYTES, read_directory};
pub use state::{ManifestState, Outcome};
pub use state_file::{StateFileError, hold as hold_state_file, leftovers as state_file_leftovers};
pub use watch::{WatchError, watch};

#[cfg(test)]
mod tests;
