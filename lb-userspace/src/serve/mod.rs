//! HTTP servers: health for load balancers and probes, health-check node ports, metrics.
//!
//! The engine publishes what it has done ([`Publisher`]); the servers run on a thread of their own and answer
//! from what was published last, so that an engine that is stuck is seen to be. A port that can't be listened
//! on is told with what to do, and tried again, or the instance ends where that is wanted: Services are served all
//! the same (HLZ-06).

mod answers;
mod check_ports;
mod checks;
mod connections;
mod http;
mod kernel;
mod listen;
mod metrics;
mod pages;
mod process;
mod published;
mod text;

use std::io;
use std::net::SocketAddr;
use std::thread;

use tokio::sync::{mpsc, watch};

use crate::notice::{Notices, Reason};

pub use checks::{CheckKey, HealthCheck, health_checks};
pub use kernel::KernelFigures;
pub use metrics::{Metrics, names};
pub use pages::Pages;
pub use published::{LATE, Published, Publisher};

/// Where to listen; `None` is nowhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    /// `/healthz` and `/livez`.
    pub health: Option<SocketAddr>,
    /// `/metrics`, `/proxyMode` and the [`Pages`].
    pub metrics: Option<SocketAddr>,
}

/// Who is told of a port that can't be listened on, besides the log.
#[derive(Debug, Clone, Default)]
pub struct Owners {
    /// The owners of objects.
    pub notices: Notices,
    /// The Node that this is.
    pub node: String,
    /// Whoever ends the instance for it; nobody where it is tried again.
    pub refuse: Option<mpsc::Sender<String>>,
}

/// Starts all servers on a thread of their own; it ends when the publisher is gone.
///
/// # Errors
///
/// Where there is no thread to be had.
pub fn start(
    addresses: Addresses,
    published: watch::Receiver<Published>,
    metrics: Metrics,
    pages: Pages,
    owners: Owners,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new()
        .name("serve".to_owned())
        .spawn(move || runtime.block_on(serve(addresses, published, metrics, pages, owners)))
        .map(drop)
}

async fn serve(
    addresses: Addresses,
    published: watch::Receiver<Published>,
    metrics: Metrics,
    pages: Pages,
    owners: Owners,
) {
    if let Some(address) = addresses.health {
        let router = http::health(published.clone(), metrics.clone());
        let (flag, reason) = ("healthz-bind-address", Reason::HealthPort);
        let server = listen::Server { flag, reason, address, router };
        tokio::spawn(listen::keep_serving(server, owners.clone()));
    }
    if let Some(address) = addresses.metrics {
        let router = http::metrics(metrics.clone(), pages);
        let (flag, reason) = ("metrics-bind-address", Reason::MetricsPort);
        let server = listen::Server { flag, reason, address, router };
        tokio::spawn(listen::keep_serving(server, owners.clone()));
    }
    check_ports::follow(published, metrics, owners.notices).await;
}

#[cfg(test)]
mod tests;
