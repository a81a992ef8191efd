//! The network devices of this machine, as they come and go, with what tells which way they lead.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use futures::{Stream, StreamExt, TryStreamExt};
use ipnet::IpNet;
use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage, AddressScope};
use rtnetlink::packet_route::link::{
    InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage,
};
use rtnetlink::packet_route::route::{RouteAttribute, RouteMessage};
use rtnetlink::{Handle, MulticastGroup, RouteMessageBuilder, new_multicast_connection};
use tokio::sync::mpsc::Sender;
use tokio::time::{sleep, timeout};

/// A device comes with a burst of messages.
const COALESCE: Duration = Duration::from_millis(50);
/// A message may be lost where many come at once, and what is attached may be taken away without one: look
/// anyway, this often.
const RECHECK: Duration = Duration::from_secs(60);

/// What a device is, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LinkKind {
    /// Hardware, VLAN, bond, VXLAN and whatever else has another machine behind it.
    #[default]
    Other,
    /// `lo`
    Loopback,
    /// One half of a pair, the other half being in another namespace as a rule: veth, netkit, tun and tap.
    Pair,
    /// A bridge, or a switch of another make.
    Bridge,
    /// Made of other devices, which carry no packets of their own: bond, team.
    Bond,
    /// Devices that hold addresses or queues, by which nothing arrives: dummy, ifb, nlmon, VRF.
    Inert,
}

/// A network device.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Link {
    /// Its number in this network namespace.
    pub index: u32,
    /// Its name; at most 15 bytes.
    pub name: String,
    /// What it is.
    pub kind: LinkKind,
    /// Whether its frames have an Ethernet header.
    pub is_ethernet: bool,
    /// The device that it is a part or a port of.
    pub master: Option<u32>,
    /// Addresses that others can dial, with the length of their prefix.
    pub addresses: Vec<IpNet>,
    /// Whether a default route leads out by it.
    pub has_default_route: bool,
}

/// Why devices can't be read.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// No netlink socket.
    #[error("cannot open a netlink socket")]
    Socket(#[source] std::io::Error),
    /// The kernel refused to list.
    #[error("cannot list the {what} of this network namespace")]
    List {
        /// Links, addresses or routes.
        what: &'static str,
        /// Why.
        source: Box<rtnetlink::Error>,
    },
}

/// The devices of this network namespace now, by number.
///
/// # Errors
///
/// Where netlink does not answer.
pub async fn current(handle: &Handle) -> Result<Vec<Link>, LinkError> {
    let failed = |what| move |error: rtnetlink::Error| LinkError::List { what, source: Box::new(error) };
    let messages: Vec<LinkMessage> =
        handle.link().get().execute().try_collect().await.map_err(failed("links"))?;
    let mut links: BTreeMap<u32, Link> =
        messages.iter().map(|message| (message.header.index, link(message))).collect();
    let messages: Vec<AddressMessage> =
        handle.address().get().execute().try_collect().await.map_err(failed("addresses"))?;
    for message in &messages {
        if let (Some(link), Some(address)) = (links.get_mut(&message.header.index), address(message)) {
            link.addresses.push(address);
        }
    }
    for request in [
        RouteMessageBuilder::<std::net::Ipv4Addr>::new().build(),
        RouteMessageBuilder::<std::net::Ipv6Addr>::new().build(),
    ] {
        let routes: Vec<RouteMessage> =
            handle.route().get(request).execute().try_collect().await.map_err(failed("routes"))?;
        for index in routes.iter().filter(|route| is_default(route)).flat_map(devices) {
            if let Some(link) = links.get_mut(&index) {
                link.has_default_route = true;
            }
        }
    }
    Ok(links.into_values().collect())
}

/// Sends the devices before it returns, from then on whenever they may have changed, and now and then without
/// that, until nobody listens. Run in the network namespace of the node.
///
/// # Errors
///
/// Where netlink does not answer.
pub async fn watch(sender: Sender<Vec<Link>>) -> Result<(), LinkError> {
    let groups = [
        MulticastGroup::Link,
        MulticastGroup::Ipv4Ifaddr,
        MulticastGroup::Ipv6Ifaddr,
        MulticastGroup::Ipv4Route,
        MulticastGroup::Ipv6Route,
    ];
    let (connection, handle, messages) = new_multicast_connection(&groups).map_err(LinkError::Socket)?;
    tokio::spawn(connection);
    let links = current(&handle).await?;
    // Nobody listens: there is nobody to tell that.
    let _ = sender.send(links.clone()).await;
    tokio::spawn(async move {
        let messages = messages.map(|(message, _)| message).filter(|message| {
            let matters = matters(message);
            async move { matters }
        });
        if let Err(error) = follow(&handle, Box::pin(messages), links, sender).await {
            tracing::error!(%error, "the node's devices are no longer followed");
        }
    });
    Ok(())
}

/// Looks again whenever something changed; sends what it sees where that is new, and after a while anyway.
async fn follow<M>(
    handle: &Handle,
    mut messages: impl Stream<Item = M> + Unpin,
    mut last: Vec<Link>,
    sender: Sender<Vec<Link>>,
) -> Result<(), LinkError> {
    loop {
        let woken = matches!(timeout(RECHECK, messages.next()).await, Ok(Some(_)));
        if woken {
            sleep(COALESCE).await;
            while timeout(Duration::ZERO, messages.next()).await.is_ok_and(|message| message.is_some()) {}
        }
        let links = current(handle).await?;
        if links != last || !woken {
            last.clone_from(&links);
            if sender.send(links).await.is_err() {
                return Ok(());
            }
        }
    }
}

/// Of routes only default ones matter: a node may have thousands of others that come and go with pods.
fn matters(message: &NetlinkMessage<RouteNetlinkMessage>) -> bool {
    match &message.payload {
        NetlinkPayload::InnerMessage(
            RouteNetlinkMessage::NewRoute(route) | RouteNetlinkMessage::DelRoute(route),
        ) => is_default(route),
        _ => true,
    }
}

fn link(message: &LinkMessage) -> Link {
    let mut link = Link {
        index: message.header.index,
        is_ethernet: message.header.link_layer_type == LinkLayerType::Ether,
        ..Link::default()
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name.clone_from(name),
            LinkAttribute::Controller(index) => link.master = Some(*index).filter(|index| *index != 0),
            LinkAttribute::LinkInfo(infos) => link.kind = infos.iter().find_map(kind).unwrap_or_default(),
            _ => {}
        }
    }
    if message.header.flags.contains(LinkFlags::Loopback) {
        link.kind = LinkKind::Loopback;
    }
    link
}

fn kind(info: &LinkInfo) -> Option<LinkKind> {
    let LinkInfo::Kind(kind) = info else {
        return None;
    };
    Some(match kind {
        InfoKind::Veth | InfoKind::Netkit | InfoKind::Tun => LinkKind::Pair,
        InfoKind::Bridge => LinkKind::Bridge,
        InfoKind::Other(name) if name == "openvswitch" => LinkKind::Bridge,
        InfoKind::Bond | InfoKind::Team => LinkKind::Bond,
        InfoKind::Dummy | InfoKind::Ifb | InfoKind::Nlmon | InfoKind::Vrf => LinkKind::Inert,
        _ => LinkKind::Other,
    })
}

/// The address of a message, where it is one that clients elsewhere can dial.
fn address(message: &AddressMessage) -> Option<IpNet> {
    if matches!(message.header.scope, AddressScope::Host | AddressScope::Link) {
        return None;
    }
    let net = |ip: &IpAddr| IpNet::new(*ip, message.header.prefix_len).ok();
    // On a point-to-point interface «address» is the peer's; «local» is ours everywhere.
    let local = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(ip) => net(ip),
        _ => None,
    });
    local.or_else(|| {
        message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Address(ip) => net(ip),
            _ => None,
        })
    })
}

fn is_default(route: &RouteMessage) -> bool {
    route.header.destination_prefix_length == 0
        && route.header.kind == rtnetlink::packet_route::route::RouteType::Unicast
}

/// The devices that a route leads out by.
fn devices(route: &RouteMessage) -> BTreeSet<u32> {
    let mut devices = BTreeSet::new();
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Oif(index) => drop(devices.insert(*index)),
            RouteAttribute::MultiPath(hops) => devices.extend(hops.iter().map(|hop| hop.interface_index)),
            _ => {}
        }
    }
    devices
}
