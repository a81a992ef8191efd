//! The edge: follows a cluster, and sends what changes.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::ServiceCIDR;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::follow::{Following, Times, follow};
use super::picture::{Heard, Picture};
use super::servers::Cluster;
use crate::notice::Notices;
use crate::source::SourceEvent;

/// How long changes are gathered at least before they are sent: what the server sends at once is one event,
/// as an endpoint that moves from one slice to another is (EPS-05).
const GATHER: Duration = Duration::from_millis(1);

/// How long the first picture waits for the node, whose zone decides about topology.
const NODE_PATIENCE: Duration = Duration::from_secs(2);

/// So much may be heard ahead of what is taken in: what follows waits in the sockets.
const AHEAD: usize = 256;

/// SVC-01, the label [`crate::source::translate::SERVICE_PROXY_NAME`], whatever its value.
const NOT_ANOTHER_PROXYS: &str = "!service.kubernetes.io/service-proxy-name";

/// SVC-02, the label [`crate::source::translate::HEADLESS`], whatever its value.
const NOT_HEADLESS: &str = "!service.kubernetes.io/headless";

/// How a cluster is followed.
#[derive(Debug, Clone)]
pub struct Options {
    /// The name of the Node that this is.
    pub node_name: String,
    /// How much time there is between two events at least: changes in between are one event.
    pub min_sync_period: Duration,
    /// How long is waited for what.
    pub times: Times,
    /// Who is told what is wrong with an object.
    pub notices: Notices,
}

impl Options {
    /// As `shunt run` does without further flags.
    pub fn new(node_name: impl Into<String>) -> Self {
        Self {
            node_name: node_name.into(),
            min_sync_period: Duration::from_millis(20),
            times: Times::default(),
            notices: Notices::default(),
        }
    }
}

/// Follows a cluster until the receiver is dropped.
///
/// Whatever befalls the API, this goes on; what is wrong is told as problems. Changes are told from the first
/// complete picture on, which is the [`SourceEvent::first`] event. While the receiver is busy, changes are
/// gathered: give the channel room for one event.
pub async fn watch(cluster: Cluster, options: Options, sender: mpsc::Sender<SourceEvent>) {
    let (_followers, mut heard) = followers(&cluster, &options);
    let mut trouble = cluster.trouble();
    let mut picture = Picture::new(options.notices.clone());
    let mut batch = Vec::with_capacity(AHEAD);
    let (mut news_since, mut waits_since) = (None, None);
    let mut not_before = Instant::now();
    loop {
        let waits_until = since(&mut waits_since, picture.waits_for_node()) + NODE_PATIENCE;
        let due = not_before.max(since(&mut news_since, picture.has_news()) + GATHER);
        tokio::select! {
            () = sender.closed() => break,
            _ = heard.recv_many(&mut batch, AHEAD) => batch.drain(..).for_each(|heard| picture.hear(heard)),
            Ok(()) = trouble.changed() => {
                picture.hear(Heard::Trouble(trouble.borrow_and_update().clone()));
            }
            () = sleep_until(waits_until), if waits_since.is_some() => picture.stop_waiting_for_node(),
            Ok(permit) = room(&sender, due), if news_since.is_some() => {
                if let Some(event) = picture.event() {
                    permit.send(event);
                }
                not_before = Instant::now() + options.min_sync_period;
            }
        }
    }
}

/// Followers of all kinds, ended when dropped, and what they hear.
fn followers(cluster: &Cluster, options: &Options) -> (JoinSet<()>, mpsc::Receiver<Heard>) {
    let (sender, receiver) = mpsc::channel(AHEAD);
    let mut tasks = JoinSet::new();
    let all = Following { labels: None, fields: None, times: options.times.clone() };
    let services = Following {
        labels: Some(NOT_ANOTHER_PROXYS),
        fields: Some("spec.clusterIP!=None".to_owned()),
        ..all.clone()
    };
    let slices = Following { labels: Some(NOT_HEADLESS), ..all.clone() };
    let nodes = Following { fields: Some(format!("metadata.name={}", options.node_name)), ..all.clone() };
    tasks.spawn(follow::<Service>(cluster.clone(), services, Heard::Service, sender.clone()));
    tasks.spawn(follow::<EndpointSlice>(cluster.clone(), slices, Heard::Slice, sender.clone()));
    tasks.spawn(follow::<Node>(cluster.clone(), nodes, Heard::Node, sender.clone()));
    tasks.spawn(follow::<ServiceCIDR>(cluster.clone(), all, Heard::Cidr, sender));
    (tasks, receiver)
}

/// Since when something is so; now where it isn't.
fn since(known: &mut Option<Instant>, is_so: bool) -> Instant {
    let now = Instant::now();
    *known = is_so.then(|| known.unwrap_or(now));
    known.unwrap_or(now)
}

/// Room for an event, when it is due.
async fn room(
    sender: &mpsc::Sender<SourceEvent>,
    due: Instant,
) -> Result<mpsc::Permit<'_, SourceEvent>, mpsc::error::SendError<()>> {
    sleep_until(due).await;
    sender.reserve().await
}
