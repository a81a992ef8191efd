//! `shunt cleanup`

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use serde::Serialize;

use super::{DEFAULT_PIN_DIR, DEFAULT_STATE_FILE, PinDir};
use crate::control;
use crate::datapath::{self, Pins};
use crate::node::sysctls::record::{self, Back, Changed};
use crate::node::sysctls::report_files;
use crate::show::Format;
use crate::source::manifest;
use crate::text;

/// Take everything of an instance out: programs, maps, the state file, and settings of the kernel.
///
/// `shunt run` leaves programs and maps in place when it ends, so that Services go on being served while it
/// restarts. This takes them out, of whatever layout version they are; a setting of the kernel that `shunt run`
/// changed becomes what it was, unless somebody has changed it since. It refuses while an instance runs with these
/// pins. Run it in the network namespace that `shunt run` ran in. There is nothing wrong in running it twice.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    pins: PinDir,

    /// Leave the state file, so that Services of manifests have the same addresses and node ports later.
    #[arg(long)]
    keep_state: bool,

    /// The state file [default: the one of the instance that had these pins]
    #[arg(long, env = "SHUNT_STATE_FILE", value_name = "FILE")]
    state_file: Option<PathBuf>,

    /// How to print: `json` is for programs.
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

/// What was done.
#[derive(Debug, Default, Serialize)]
struct Done {
    /// Pins, links first.
    pins: Vec<PathBuf>,
    /// Devices from which filters were taken.
    filters: Vec<String>,
    /// Settings of the kernel.
    settings: Vec<Setting>,
    /// The state file and what else was on disks.
    files: Vec<PathBuf>,
}

/// A setting of the kernel.
#[derive(Debug, Serialize)]
struct Setting {
    /// Its file below /.
    file: String,
    #[serde(flatten)]
    changed: Changed,
    state: Back,
}

pub(super) fn run(args: &Args, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let mut done = Done::default();
    let pins = Pins::in_directory(&args.pins.pin_dir);
    let _lock = pins.lock_existing()?;
    let result = done.clean(&pins, args);
    // What was done is told also where the rest could not be.
    done.print_into(out, pins.directory(), args.output)?;
    result?;
    let failed = done.settings.iter().any(|setting| matches!(setting.state, Back::Failed { .. }));
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The one that was named; else the one that the pins tell; else that of an instance that was told nothing.
fn state_file(pins: &Pins, args: &Args) -> anyhow::Result<Option<PathBuf>> {
    let is_default = pins.directory() == Path::new(DEFAULT_PIN_DIR);
    let known = args.state_file.clone().map_or_else(|| datapath::state_file(pins), |file| Ok(Some(file)))?;
    Ok(known.or_else(|| is_default.then(|| DEFAULT_STATE_FILE.into())))
}

impl Done {
    fn clean(&mut self, pins: &Pins, args: &Args) -> anyhow::Result<()> {
        // Filters of clsact qdiscs have no pins: what was recorded of the devices leads to them.
        let devices = datapath::recorded_devices(pins)?;
        self.filters = datapath::remove_filters(&devices).context("cannot take filters off devices")?;
        self.put_settings_back(pins.directory())?;
        if let Some(file) = state_file(pins, args)? {
            let [draft, lock] = manifest::state_file_leftovers(&file);
            let _held = if lock.exists() { manifest::hold_state_file(&file)? } else { None };
            if !args.keep_state {
                self.remove(&file)?;
            }
            self.remove(&draft)?;
            self.remove(&lock)?;
        }
        // Last: it is by the pins that all this is known.
        pins.remove(|pin| self.pins.push(pin.to_owned()))?;
        self.remove(&control::socket_path(pins.directory()))
    }

    fn put_settings_back(&mut self, pin_dir: &Path) -> anyhow::Result<()> {
        let path = record::path(pin_dir);
        let known = record::recall(&path).with_context(|| {
            format!("cannot read {}, which says what settings were before", path.display())
        })?;
        for (file, changed) in known {
            let state = record::put_back(Path::new("/"), &file, changed);
            self.settings.push(Setting { file, changed, state });
        }
        let mut files = record::files(pin_dir).to_vec();
        files.extend(report_files(pin_dir));
        files.iter().try_for_each(|file| self.remove(file))
    }

    /// Removes a file that may not be there.
    fn remove(&mut self, path: &Path) -> anyhow::Result<()> {
        match fs::remove_file(path) {
            Ok(()) => self.files.push(path.to_owned()),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
            Err(error) => return Err(error).with_context(|| format!("cannot remove {}", path.display())),
        }
        Ok(())
    }

    fn print_into(&self, out: &mut impl Write, pin_dir: &Path, format: Format) -> anyhow::Result<()> {
        if format == Format::Json {
            serde_json::to_writer_pretty(&mut *out, self)?;
            return Ok(writeln!(out)?);
        }
        for device in &self.filters {
            writeln!(out, "removed the filters of {}", text::name(device))?;
        }
        for path in self.pins.iter().chain(&self.files) {
            writeln!(out, "removed {}", text::name(path.display()))?;
        }
        for Setting { file, changed: Changed { before, set }, state } in &self.settings {
            let file = text::name(file);
            match state {
                Back::Restored => writeln!(out, "put /{file} back to {before}, from {set}")?,
                Back::Left { now } => {
                    writeln!(out, "left /{file} at {now}: it was made {set}, and changed since")?
                }
                Back::Failed { why } => {
                    writeln!(out, "cannot put /{file} back to {before}: {}", text::name(why))?
                }
            }
        }
        if self.pins.is_empty() && self.files.is_empty() && self.settings.is_empty() {
            writeln!(out, "nothing to clean up in {}", text::name(pin_dir.display()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_any_bytes_are_printed_as_text() {
        let evil = "x\u{1b}[2J\nforged";
        let setting =
            |state| Setting { file: evil.to_owned(), changed: Changed { before: 0, set: 1 }, state };
        let done = Done {
            pins: vec![evil.into()],
            filters: vec![evil.to_owned()],
            settings: vec![
                setting(Back::Restored),
                setting(Back::Left { now: 2 }),
                setting(Back::Failed { why: evil.to_owned() }),
            ],
            files: vec![evil.into()],
        };
        let mut out = Vec::new();
        done.print_into(&mut out, Path::new("/"), Format::Table).expect("a vector takes all");
        Done::default().print_into(&mut out, Path::new(evil), Format::Table).expect("a vector takes all");
        let said = String::from_utf8(out).expect("text");
        assert_eq!(said.matches(r"x\u{1b}[2J\nforged").count(), 8, "{said}");
        assert_eq!((said.lines().count(), said.contains('\u{1b}')), (7, false), "{said:?}");
    }
}
