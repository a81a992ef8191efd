//! Flags of the servers for health and metrics.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use anyhow::Context;
use tokio::sync::mpsc;

use crate::datapath::Pins;
use crate::serve::{self, Addresses, KernelFigures, Metrics, Owners, Pages, Publisher};

/// kube-proxy's ports.
const HEALTHZ_PORT: u16 = 10256;
const METRICS_PORT: u16 = 10249;

/// Where health and metrics are asked for.
#[derive(Debug, clap::Args)]
pub(super) struct ServeOptions {
    /// Address and port that answer /healthz, by which load balancers see whether to send clients to this
    /// node, and /livez, by which a probe sees whether this process works; 0.0.0.0 and :: are every address of
    /// both families. Without a port it is 10256. "" is none.
    #[arg(
        long,
        env = "SHUNT_HEALTHZ_BIND_ADDRESS",
        value_name = "IP[:PORT]",
        default_value = "0.0.0.0:10256"
    )]
    healthz_bind_address: BindAddress,

    /// Address and port that answer /metrics, /proxyMode and /configz. Without a port it is 10249. "" is none.
    #[arg(
        long,
        env = "SHUNT_METRICS_BIND_ADDRESS",
        value_name = "IP[:PORT]",
        default_value = "127.0.0.1:10249"
    )]
    metrics_bind_address: BindAddress,

    /// End where one of these addresses can't be listened on. Without this it is told, and tried again.
    #[arg(long, env = "SHUNT_BIND_ADDRESS_HARD_FAIL")]
    bind_address_hard_fail: bool,
}

/// An address with its port, an address alone, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BindAddress {
    Nowhere,
    Whole(SocketAddr),
    /// The port is kube-proxy's.
    Alone(IpAddr),
}

impl FromStr for BindAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self::Nowhere);
        }
        let whole = text.parse().map(Self::Whole).ok();
        whole.or_else(|| text.parse().map(Self::Alone).ok()).ok_or_else(|| {
            "not an address, with a port or without, as 0.0.0.0:10256 or [::1]:10249".to_owned()
        })
    }
}

impl BindAddress {
    /// With this port where none was named (§1.8).
    fn with_default(self, port: u16) -> Option<SocketAddr> {
        match self {
            Self::Nowhere => None,
            Self::Whole(address) => Some(address),
            Self::Alone(ip) => Some(SocketAddr::new(ip, port)),
        }
    }
}

impl ServeOptions {
    /// Starts the servers, and returns what they are fed by. Where one of them has to listen and can't, `refuse` is
    /// told why.
    pub(super) fn start(
        &self,
        pins: &Pins,
        watches_node: bool,
        owners: Owners,
        metrics: impl FnOnce(KernelFigures) -> Metrics,
        pages: Pages,
        refuse: mpsc::Sender<String>,
    ) -> anyhow::Result<Publisher> {
        let metrics = metrics(KernelFigures::new(pins.clone()));
        let publisher = Publisher::new(metrics.clone(), watches_node);
        let addresses = Addresses {
            health: self.healthz_bind_address.with_default(HEALTHZ_PORT),
            metrics: self.metrics_bind_address.with_default(METRICS_PORT),
        };
        let owners = Owners { refuse: self.bind_address_hard_fail.then_some(refuse), ..owners };
        serve::start(addresses, publisher.subscribe(), metrics, pages, owners)
            .context("cannot start a thread")?;
        Ok(publisher)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_address_is_none_and_nonsense_is_refused() {
        assert_eq!("".parse(), Ok(BindAddress::Nowhere));
        assert!("localhost".parse::<BindAddress>().is_err_and(|why| why.contains("0.0.0.0:10256")));
    }

    #[test]
    fn an_address_without_a_port_has_kube_proxys() {
        for (text, expected) in [
            ("", None),
            ("0.0.0.0", Some("0.0.0.0:10256")),
            ("::", Some("[::]:10256")),
            ("127.0.0.1:1", Some("127.0.0.1:1")),
            ("[::1]:2", Some("[::1]:2")),
        ] {
            let address: BindAddress = text.parse().expect(text);
            assert_eq!(
                address.with_default(HEALTHZ_PORT),
                expected.map(|at| at.parse().expect(at)),
                "{text}"
            );
        }
    }
}
