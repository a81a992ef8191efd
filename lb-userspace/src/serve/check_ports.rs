//! Health-check node ports: opened, kept and closed as Services come and go (HCN-06, HCN-07).

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::checks::{CheckKey, HealthCheck};
use super::connections::Connections;
use super::listen::{RETRY, listen};
use super::metrics::Metrics;
use super::{Published, http};
use crate::model::Uid;
use crate::notice::{Notice, Notices, Reason};

/// How long the closing of a port is waited for before the next one is opened.
const CLOSING: Duration = Duration::from_millis(200);

/// The listeners of one health check; all of its addresses, or none.
struct Open {
    addresses: Vec<SocketAddr>,
    /// Dropped when they are to end.
    end: Vec<oneshot::Sender<()>>,
    servers: JoinSet<()>,
}

/// Keeps the ports as they are published, until nobody publishes any more.
pub(super) async fn follow(mut published: watch::Receiver<Published>, metrics: Metrics, notices: Notices) {
    let mut open: BTreeMap<CheckKey, Open> = BTreeMap::new();
    let mut failed: BTreeMap<CheckKey, String> = BTreeMap::new();
    let connections = Connections::default();
    loop {
        let wanted = wanted(&mut published);
        let uids: BTreeMap<CheckKey, Option<Uid>> =
            wanted.iter().map(|(key, check)| (key.clone(), check.uid)).collect();
        close(&mut open, &wanted).await;
        let mut failing = BTreeMap::new();
        for (key, HealthCheck { addresses, .. }) in wanted {
            if open.contains_key(&key) {
                continue;
            }
            match Open::begin(addresses, &published, &key, &connections) {
                Ok(listeners) => _ = open.insert(key, listeners),
                Err(why) => _ = failing.insert(key, why),
            }
        }
        let uid = |key: &CheckKey| uids.get(key).copied().flatten();
        tell(&failed, &failing, &notices, uid);
        failed = failing;
        metrics.set_check_ports(open.len(), failed.len());
        tokio::select! {
            changed = published.changed() => if changed.is_err() { return },
            () = sleep(RETRY), if !failed.is_empty() => {}
        }
    }
}

fn wanted(published: &mut watch::Receiver<Published>) -> BTreeMap<CheckKey, HealthCheck> {
    published.borrow_and_update().checks.clone()
}

/// Ends what is no longer wanted, or wanted elsewhere.
async fn close(open: &mut BTreeMap<CheckKey, Open>, wanted: &BTreeMap<CheckKey, HealthCheck>) {
    let gone: Vec<CheckKey> = open
        .iter()
        .filter(|(key, open)| wanted.get(*key).map(|check| &check.addresses) != Some(&open.addresses))
        .map(|(key, _)| key.clone())
        .collect();
    let mut ending: Vec<Open> = gone.iter().filter_map(|key| open.remove(key)).collect();
    ending.iter_mut().for_each(|open| open.end.clear());
    for open in &mut ending {
        // A slow connection is not waited for: the port is free before.
        let _slow = timeout(CLOSING, async { while open.servers.join_next().await.is_some() {} }).await;
    }
}

impl Open {
    fn begin(
        addresses: Vec<SocketAddr>,
        published: &watch::Receiver<Published>,
        key: &CheckKey,
        connections: &Connections,
    ) -> Result<Self, String> {
        let listeners: Result<Vec<TcpListener>, String> = addresses
            .iter()
            .map(|address| listen(*address, true).map_err(|error| describe(*address, &error)))
            .collect();
        let (mut end, mut servers) = (Vec::new(), JoinSet::new());
        for listener in listeners? {
            let (sender, ended) = oneshot::channel::<()>();
            let router = http::check(published.clone(), key.clone());
            servers.spawn(connections.clone().serve(listener, router, async move {
                // To be dropped is the signal.
                let _dropped = ended.await;
            }));
            end.push(sender);
        }
        Ok(Self { addresses, end, servers })
    }
}

fn describe(address: SocketAddr, error: &io::Error) -> String {
    format!("cannot listen on {address}: {error}")
}

/// Says what is newly wrong, and what no longer is.
fn tell(
    before: &BTreeMap<CheckKey, String>,
    now: &BTreeMap<CheckKey, String>,
    notices: &Notices,
    uid: impl Fn(&CheckKey) -> Option<Uid>,
) {
    for (key, why) in now.iter().filter(|(key, why)| before.get(*key) != Some(why)) {
        let (service, family) = key;
        let note = format!(
            "spec.healthCheckNodePort: no health check in {family}: {why}; load balancers take this node to be \
             without endpoints; end what has the port, or give the Service another one; it is tried again every \
             {RETRY:?}"
        );
        tracing::error!("Service {service}: {note}");
        notices.tell(Notice::of_service(service, uid(key), Reason::HealthCheckPort, note));
    }
    for (service, family) in before.keys().filter(|key| !now.contains_key(*key)) {
        tracing::info!("no longer wrong: the health check of Service {service} in {family}");
    }
}
