//! Logs: one line an event, on standard error.
//!
//! Invariants: whatever a name or an error holds, it is one line of a bounded length ([`fields`]); whatever
//! happens how often, there is a bounded number of lines a minute ([`limit`]).

mod fields;
mod limit;

use std::io::IsTerminal;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt};

pub(super) use limit::OFTEN;

/// How much is logged.
#[derive(Debug, clap::Args)]
pub(super) struct Logging {
    /// What to log: error, warn, info, debug, trace, or a filter such as `info,lb_userspace::reconcile=debug`
    /// [default: info, or what -v says]
    #[arg(long, env = "SHUNT_LOG", value_name = "FILTER")]
    log: Option<String>,

    /// How much to log, as kube-proxy counts it: 4 is debug, 6 and more is trace.
    #[arg(short = 'v', long = "v", env = "SHUNT_V", value_name = "LEVEL")]
    v: Option<u8>,
}

impl Logging {
    /// Begins to log. aya says by a log line only when the kernel refuses an object's BTF: that is heard too.
    pub(super) fn begin(&self) -> anyhow::Result<()> {
        // What the client of the API says is said again, better, by whoever called it; and it logs whole
        // answers that it doesn't understand.
        let log = self.log.as_deref().unwrap_or(match self.v {
            None | Some(..4) => "info",
            Some(4..6) => "debug",
            Some(6..) => "trace",
        });
        let filter = format!("kube_client=off,kube_runtime=off,{log}");
        let filter = EnvFilter::try_new(filter).map_err(|error| anyhow::anyhow!("--log {log}: {error}"))?;
        let lines = fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
            .with_target(false)
            .fmt_fields(fields::Fields);
        tracing_subscriber::registry()
            .with(filter)
            .with(limit::Limit::default())
            .with(lines)
            .try_init()
            .map_err(|error| anyhow::anyhow!("cannot begin to log: {error}"))
    }
}
