//! Logs: one line an event, on standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// How much is logged.
#[derive(Debug, clap::Args)]
pub(super) struct Logging {
    /// What to log: error, warn, info, debug, trace, or a filter such as `info,lb_userspace::reconcile=debug`.
    #[arg(long, env = "SHUNT_LOG", value_name = "FILTER", default_value = "info")]
    log: String,
}

impl Logging {
    /// Begins to log. aya says by a log line only when the kernel refuses an object's BTF: that is heard too.
    pub(super) fn begin(&self) -> anyhow::Result<()> {
        // What the client of the API says is said again, better, by whoever called it; and it logs whole
        // answers that it doesn't understand.
        let filter = format!("kube_client=off,kube_runtime=off,{}", self.log);
        let filter =
            EnvFilter::try_new(filter).map_err(|error| anyhow::anyhow!("--log {}: {error}", self.log))?;
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
            .with_target(false)
            .try_init()
            .map_err(|error| anyhow::anyhow!("cannot begin to log: {error}"))
    }
}
