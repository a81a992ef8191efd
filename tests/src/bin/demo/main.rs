//! What `cargo xtask run` shows: Services served on a small node made for the occasion.
//!
//! Everything is real but the machines: the node, its pods and the client are network namespaces, what
//! serves is the binary itself with the manifests of `examples/`. Whatever was made is gone at the end.

mod dials;
mod examples;
mod interrupt;
mod page;
mod services;
mod stage;
mod stay;
mod tour;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use interrupt::Interrupt;
use page::Page;
use stage::Stage;

/// Shows Services being served, on a node in namespaces and a cgroup of its own.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// End after the tour; the exit status is 0 if every dial did what it should
    #[arg(long)]
    once: bool,
    /// Directory of the manifests to serve
    #[arg(long, default_value = "examples")]
    examples: PathBuf,
}

/// What a shell reports for a program that SIGINT ended.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let interrupt = match Interrupt::catch() {
        Ok(interrupt) => interrupt,
        Err(error) => return fail(&error),
    };
    match show(&cli, &interrupt) {
        Ok(code) => code,
        // A dial that Ctrl-C cut short is no news.
        Err(_) if interrupt.is_raised() => ExitCode::from(INTERRUPTED),
        Err(error) => fail(&error),
    }
}

fn show(cli: &Cli, interrupt: &Interrupt) -> anyhow::Result<ExitCode> {
    let page = Page::on_stdout();
    let stage = Stage::set(&cli.examples)?;
    let unexpected = tour::walk(&stage, &page, interrupt)?;
    for what in &unexpected {
        page.line(&format!("not as expected: {what}"));
    }
    if cli.once {
        return Ok(if unexpected.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    stay::stay(&stage, &page, interrupt)?;
    Ok(ExitCode::SUCCESS)
}

fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::FAILURE
}
