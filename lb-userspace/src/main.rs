//! `shunt`: see [`lb_userspace::cli`].

use std::io::{self, ErrorKind};
use std::process::ExitCode;

use lb_userspace::cli::{self, Cli};

fn main() -> ExitCode {
    match Cli::from_command_line().and_then(Cli::run) {
        Ok(code) => code,
        // Whoever reads our output has seen enough: `shunt services | head`.
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("shunt: {}", cli::plain(&error));
            ExitCode::FAILURE
        }
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|error| error.kind() == ErrorKind::BrokenPipe)
}
