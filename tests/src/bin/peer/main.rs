//! The tiny servers and clients of the tests and the demo. What a server or a client has to tell is one
//! JSON value a line ([`lb_tests::wire`]).

mod bind;
mod dial;
mod dns;
mod enter;
mod flood;
mod hammer;
mod hold;
mod probe;
mod serve;
mod socket;

use clap::{Parser, Subcommand};

/// Serves, dials and binds, for tests that look from outside.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs a command in a network namespace and a cgroup
    Enter(enter::Enter),
    /// Answers HTTP, UDP and DNS with the name of a pod and what it sees of the client
    Serve(serve::Serve),
    /// Dials, and prints who answered or which errno there was
    Dial(dial::Dial),
    /// Tries to bind a port, and prints which errno there was
    Bind(bind::Bind),
    /// Sends packets of clients that don't exist
    Flood(flood::Flood),
    /// Says where dials are sent, without anybody there
    Probe(probe::Prober),
    /// Dials without pause until its standard input ends, then prints a summary
    Hammer(hammer::Hammer),
    /// Keeps a connected socket, and prints what becomes of it
    Hold(hold::Hold),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Enter(enter) => enter.run(),
        Command::Serve(serve) => serve.run(),
        Command::Dial(dial) => dial.run(),
        Command::Bind(bind) => bind.run(),
        Command::Flood(flood) => flood.run(),
        Command::Probe(prober) => prober.run(),
        Command::Hammer(hammer) => hammer.run(),
        Command::Hold(hold) => hold.run(),
    }
}
