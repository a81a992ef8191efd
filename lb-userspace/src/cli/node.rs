//! Flags of what else is done to the node: its sockets and its kernel's settings.

use std::path::Path;

use anyhow::Context;

use super::span::Span;
use crate::datapath::{DialledSockets, Pins};
use crate::node::sysctls::{self, Conntrack, FORWARDING, Outcome, Settings, State, record};
use crate::terminate::{Rules, Terminator};

/// What is done to the node besides programs and maps.
#[derive(Debug, clap::Args)]
pub(super) struct NodeOptions {
    /// End TCP connections of a backend that is gone too; those of UDP always are, so that their clients learn
    /// of it at once. Without this they live until one of their ends gives up.
    #[arg(long, env = "SHUNT_TERMINATE_TCP")]
    terminate_tcp: bool,

    /// Let the kernel forward packets, where it does not: `net.ipv4.ip_forward` and
    /// `net.ipv6.conf.all.forwarding`. Without this it is only said when it is needed.
    #[arg(long, env = "SHUNT_SET_FORWARDING")]
    set_forwarding: bool,

    /// How much rather than others this process is ended when memory is short: -1000 (never) to 1000.
    #[arg(
        long,
        env = "SHUNT_OOM_SCORE_ADJ",
        value_name = "SCORE",
        default_value_t = -999,
        allow_negative_numbers = true,
        value_parser = clap::value_parser!(i32).range(-1000..=1000)
    )]
    oom_score_adj: i32,

    /// Entries of conntrack for each processor (`nf_conntrack_max`); it is never made smaller. 0 leaves it
    /// alone.
    #[arg(long, env = "SHUNT_CONNTRACK_MAX_PER_CORE", value_name = "COUNT", default_value_t = 32_768)]
    conntrack_max_per_core: u32,

    /// Entries of conntrack at least, whatever --conntrack-max-per-core comes to.
    #[arg(long, env = "SHUNT_CONNTRACK_MIN", value_name = "COUNT", default_value_t = 131_072)]
    conntrack_min: u32,

    /// How long conntrack remembers a TCP connection with nothing to say. 0 leaves it alone.
    #[arg(long, env = "SHUNT_CONNTRACK_TCP_TIMEOUT_ESTABLISHED", value_name = "TIME", default_value = "24h")]
    conntrack_tcp_timeout_established: Span,

    /// How long conntrack remembers a TCP connection that one end has closed. 0 leaves it alone.
    #[arg(long, env = "SHUNT_CONNTRACK_TCP_TIMEOUT_CLOSE_WAIT", value_name = "TIME", default_value = "1h")]
    conntrack_tcp_timeout_close_wait: Span,

    /// Let conntrack take packets outside of the TCP window for valid.
    #[arg(long, env = "SHUNT_CONNTRACK_TCP_BE_LIBERAL")]
    conntrack_tcp_be_liberal: bool,

    /// How long conntrack remembers a UDP flow without an answer. 0 leaves it alone.
    #[arg(long, env = "SHUNT_CONNTRACK_UDP_TIMEOUT", value_name = "TIME", default_value = "0")]
    conntrack_udp_timeout: Span,

    /// How long conntrack remembers a UDP flow with answers. 0 leaves it alone.
    #[arg(long, env = "SHUNT_CONNTRACK_UDP_TIMEOUT_STREAM", value_name = "TIME", default_value = "0")]
    conntrack_udp_timeout_stream: Span,
}

impl NodeOptions {
    /// Begins to end sockets whose backend is gone.
    pub(super) fn terminator(&self, cgroup: &Path, pins: &Pins) -> anyhow::Result<Terminator> {
        let rules = Rules { cgroup: cgroup.to_owned(), tcp: self.terminate_tcp };
        Terminator::begin(rules, DialledSockets::open(pins)?).context("cannot start a thread")
    }

    /// Makes the kernel's settings as they should be, says what was different, and remembers what it was. Those
    /// that are not there yet are made by a later [`NodeSettings::look`].
    pub(super) fn settle(&self, pin_dir: &Path) -> NodeSettings {
        let score = "/proc/self/oom_score_adj";
        if let Err(error) = std::fs::write(score, self.oom_score_adj.to_string()) {
            tracing::info!("cannot write {} to {score}: {error}", self.oom_score_adj);
        }
        let root = Path::new("/");
        let conntrack = self.conntrack().settings(sysctls::cpus(root));
        let conntrack = conntrack.into_iter().map(|setting| (setting, true));
        let forwarding = FORWARDING.into_iter().map(|setting| (setting, self.set_forwarding));
        let wanted = conntrack.chain(forwarding).collect();
        let files = (record::path(pin_dir), sysctls::report_path(pin_dir));
        let mut settings =
            NodeSettings { settings: Settings::new(root, files.0, files.1, wanted), unkept: String::new() };
        settings.look();
        settings
    }

    fn conntrack(&self) -> Conntrack {
        Conntrack {
            max_per_core: self.conntrack_max_per_core,
            min: self.conntrack_min,
            tcp_established: self.conntrack_tcp_timeout_established.0,
            tcp_close_wait: self.conntrack_tcp_timeout_close_wait.0,
            tcp_be_liberal: self.conntrack_tcp_be_liberal,
            udp: self.conntrack_udp_timeout.0,
            udp_stream: self.conntrack_udp_timeout_stream.0,
        }
    }
}

/// The kernel's settings, some of which may come later.
#[derive(Debug)]
pub(super) struct NodeSettings {
    settings: Settings,
    /// Why what they were is not kept, as it was told last.
    unkept: String,
}

impl NodeSettings {
    /// Makes those that have come since, and says so.
    pub(super) fn look(&mut self) {
        let (news, kept) = self.settings.settle();
        news.iter().for_each(tell);
        let unkept = kept.err().map(|error| error.to_string()).unwrap_or_default();
        if !unkept.is_empty() && unkept != self.unkept {
            tracing::warn!("cannot remember what settings of the kernel were before, or are: {unkept}");
        }
        self.unkept = unkept;
    }
}

fn tell(outcome: &Outcome) {
    match &outcome.state {
        State::Right => tracing::debug!("{outcome}"),
        State::Missing => tracing::debug!("{outcome}; it is made when it is"),
        State::Set { .. } => tracing::info!("{outcome}"),
        State::Different { .. } => tracing::warn!(
            "{outcome} for packets of clients outside to reach pods: set it, or start with --set-forwarding"
        ),
        State::Failed { .. } => tracing::warn!("{outcome}"),
    }
}
