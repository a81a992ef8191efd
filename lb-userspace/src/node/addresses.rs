//! The node's addresses, from its interfaces, as they come and go (NP-05).

use std::net::IpAddr;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage, AddressScope};
use rtnetlink::{Handle, MulticastGroup, new_multicast_connection};
use tokio::sync::mpsc::Sender;
use tokio::time::{sleep, timeout};

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

/// Sends the addresses at once, and again whenever they have changed, until nobody listens. Run in the
/// network namespace of the node.
///
/// # Errors
///
/// Where netlink does not answer.
pub async fn watch<T: From<Vec<IpAddr>>>(sender: Sender<T>) -> Result<(), AddressError> {
    let groups = [MulticastGroup::Ipv4Ifaddr, MulticastGroup::Ipv6Ifaddr];
    let (connection, handle, mut messages) = new_multicast_connection(&groups).map_err(AddressError::Socket)?;
    let connection = tokio::spawn(connection);
    let mut last = None;
    loop {
        let addresses = current(&handle).await?;
        if last.as_ref() != Some(&addresses) {
            last = Some(addresses.clone());
            if sender.send(T::from(addresses)).await.is_err() {
                connection.abort();
                return Ok(());
            }
        }
        // Something changed, or it is time to look: what matters is what is there then.
        if let Ok(Some(_)) = timeout(RECHECK, messages.next()).await {
            sleep(COALESCE).await;
            while timeout(Duration::ZERO, messages.next()).await.is_ok_and(|message| message.is_some()) {}
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
