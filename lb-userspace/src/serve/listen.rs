//! Sockets that listen.

use std::future::pending;
use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

use axum::Router;
use rustix::net::sockopt::set_ipv6_v6only;
use tokio::net::{TcpListener, TcpSocket};
use tokio::time::sleep;

use super::Owners;
use super::connections::Connections;
use crate::notice::{Notice, Reason};

/// After a port could not be listened on (HLZ-06).
pub(super) const RETRY: Duration = Duration::from_secs(5);
const BACKLOG: u32 = 128;

/// A server that is there as long as the instance is.
pub(super) struct Server {
    /// The flag that says where.
    pub(super) flag: &'static str,
    /// What it is where it can't be listened there.
    pub(super) reason: Reason,
    /// Where. The unspecified address of either family is every address of both, as in Go (HLZ-01).
    pub(super) address: SocketAddr,
    /// What it answers.
    pub(super) router: Router,
}

/// Serves, as soon as the port can be had.
pub(super) async fn keep_serving(server: Server, owners: Owners) {
    let Server { flag, reason, address, router } = server;
    let mut is_told = false;
    let listener = loop {
        match of_both_families(address) {
            Ok(listener) => break listener,
            Err(error) if !is_told => {
                is_told = true;
                let what_now = match &owners.refuse {
                    Some(_) => "the instance ends".to_owned(),
                    None => format!("it is tried again every {RETRY:?}"),
                };
                let note = format!(
                    "cannot listen on {address}: {error}; end what has that port (a kube-proxy?) or name \
                     another by --{flag}, \"\" for none; {what_now}"
                );
                tracing::error!("{note}");
                owners.notices.tell(Notice::of_node(&owners.node, reason, note.as_str()));
                if let Some(refuse) = &owners.refuse {
                    // Nobody to hear it: the instance ends already.
                    let _heard = refuse.send(note).await;
                    return;
                }
            }
            Err(_) => {}
        }
        sleep(RETRY).await;
    };
    tracing::info!("listening on {address} (--{flag})");
    // It ends only with the runtime.
    Connections::default().serve(listener, router, pending()).await;
}

fn of_both_families(address: SocketAddr) -> io::Result<TcpListener> {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => {
            let both = SocketAddr::from((Ipv6Addr::UNSPECIFIED, v4.port()));
            match listen(both, false) {
                // A node may have no IPv6.
                Err(error) if error.kind() != io::ErrorKind::AddrInUse => listen(address, false),
                listener => listener,
            }
        }
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => listen(address, false),
        _ => listen(address, true),
    }
}

/// A socket that listens on an address; of IPv6 for that family alone or for both.
pub(super) fn listen(address: SocketAddr, one_family: bool) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        let socket = TcpSocket::new_v6()?;
        set_ipv6_v6only(&socket, one_family)?;
        socket
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
