//! Flags of the servers for health and metrics.

use std::net::SocketAddr;
use std::str::FromStr;

use anyhow::Context;

use crate::datapath::Pins;
use crate::notice::Fates;
use crate::serve::{self, Addresses, KernelFigures, Metrics, Owners, Publisher};

/// Where health and metrics are asked for.
#[derive(Debug, clap::Args)]
pub(super) struct ServeOptions {
    /// Address and port that answer /healthz, by which load balancers see whether to send clients to this
    /// node, and /livez, by which a probe sees whether this process works; 0.0.0.0 is every address of both
    /// families. "" is none.
    #[arg(long, env = "SHUNT_HEALTHZ_BIND_ADDRESS", value_name = "IP:PORT", default_value = "0.0.0.0:10256")]
    healthz_bind_address: BindAddress,

    /// Address and port that answer /metrics and /proxyMode. "" is none.
    #[arg(
        long,
        env = "SHUNT_METRICS_BIND_ADDRESS",
        value_name = "IP:PORT",
        default_value = "127.0.0.1:10249"
    )]
    metrics_bind_address: BindAddress,
}

/// An address with its port, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct BindAddress(Option<SocketAddr>);

impl FromStr for BindAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self(None));
        }
        let address =
            text.parse().map_err(|_| "not an address with a port, as 0.0.0.0:10256 or [::1]:10249")?;
        Ok(Self(Some(address)))
    }
}

impl ServeOptions {
    /// Starts the servers, and returns what they are fed by.
    pub(super) fn start(
        &self,
        pins: &Pins,
        watches_node: bool,
        owners: Owners,
        events: Fates,
    ) -> anyhow::Result<Publisher> {
        let metrics = Metrics::new(KernelFigures::new(pins.clone()), events);
        let publisher = Publisher::new(metrics.clone(), watches_node);
        let addresses =
            Addresses { health: self.healthz_bind_address.0, metrics: self.metrics_bind_address.0 };
        serve::start(addresses, publisher.subscribe(), metrics, owners).context("cannot start a thread")?;
        Ok(publisher)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_address_is_none_and_nonsense_is_refused() {
        assert_eq!("".parse(), Ok(BindAddress(None)));
        assert!("127.0.0.1:10249".parse::<BindAddress>().is_ok_and(|address| address.0.is_some()));
        assert!("localhost".parse::<BindAddress>().is_err_and(|why| why.contains("0.0.0.0:10256")));
    }
}
