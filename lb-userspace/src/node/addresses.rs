//! The node's addresses, from its interfaces, as they come and go (NP-05).

use std::net::IpAddr;
use std::time::Duration;

use futures::{Stream, StreamExt, TryStreamExt};
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage, AddressScope};
use rtnetlink::{Handle, MulticastGroup, new_multicast_connection};
use tokio::sync::mpsc::Sender;
use tokio::time::{sleep, timeout};

use crate::engine::Event;

/// Addresses come in bursts, one message each.
const COALESCE: Duration = Duration::from_millis(50);
/// A message may be lost where many come at once: look anyway, this often.
const RECHECK: Duration = Duration::from_secs(60);

/// Why addresses can't be read.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// No netlink socket.
    #[error("cannot open a netlink socket")]
    Socket(#[source] std::io::Error),
    /// The kernel refused to list.
    #[error("cannot list the addresses of this network namespace")]
    List(#[source] Box<rtnetlink::Error>),
}

/// The addresses of this network namespace now, by interface number; without loopback and link-local ones.
///
/// # Errors
///
/// Where netlink does not answer.
pub async fn current(handle: &Handle) -> Result<Vec<IpAddr>, AddressError> {
    let mut messages: Vec<AddressMessage> = handle
        .address()
        .get()
        .execute()
        .try_collect()
        .await
        .map_err(|error| AddressError::List(Box::new(error)))?;
    messages.sort_by_key(|message| message.header.index);
    let mut addresses: Vec<IpAddr> = Vec::new();
    for address in messages.iter().filter_map(address) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

/// Sends the addresses before it returns, and from then on whenever they have changed, until nobody listens.
/// Run in the network namespace of the node.
///
/// # Errors
///
/// Where netlink does not answer.
pub async fn watch(sender: Sender<Event>) -> Result<(), AddressError> {
    let groups = [MulticastGroup::Ipv4Ifaddr, MulticastGroup::Ipv6Ifaddr];
    let (connection, handle, messages) = new_multicast_connection(&groups).map_err(AddressError::Socket)?;
    tokio::spawn(connection);
    let addresses = current(&handle).await?;
    // Nobody listens: there is nobody to tell that.
    let _ = sender.send(Event::Addresses(addresses.clone())).await;
    tokio::spawn(async move {
        if let Err(error) = follow(&handle, messages, addresses, sender).await {
            tracing::error!(%error, "the node's addresses are no longer followed");
        }
    });
    Ok(())
}

/// Looks again whenever something changed, and now and then: what matters is what is there then.
async fn follow<M>(
    handle: &Handle,
    mut messages: impl Stream<Item = M> + Unpin,
    mut last: Vec<IpAddr>,
    sender: Sender<Event>,
) -> Result<(), AddressError> {
    loop {
        if let Ok(Some(_)) = timeout(RECHECK, messages.next()).await {
            sleep(COALESCE).await;
            while timeout(Duration::ZERO, messages.next()).await.is_ok_and(|message| message.is_some()) {}
        }
        let addresses = current(handle).await?;
        if addresses != last {
            last.clone_from(&addresses);
            if sender.send(Event::Addresses(addresses)).await.is_err() {
                return Ok(());
            }
        }
    }
}

/// The address of a message, where it is one that clients elsewhere can dial.
fn address(message: &AddressMessage) -> Option<IpAddr> {
    if matches!(message.header.scope, AddressScope::Host | AddressScope::Link) {
        return None;
    }
    let mut address = None;
    for attribute in &message.attributes {
        match attribute {
            // On a point-to-point interface «address» is the peer's; «local» is ours everywhere.
            AddressAttribute::Local(local) => return Some(*local),
            AddressAttribute::Address(ip) => address = Some(*ip),
            _ => {}
        }
    }
    address
}
