//! One look through all namespaces for sockets of backends that are gone.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use lb_common::{Addr, Dialled, Port, Proto};

use super::diag::{Diag, Found};
use super::processes::{self, Namespaces};
use crate::datapath::DialledSockets;
use crate::model::Family;
use crate::reconcile::GoneBackend;

/// What a pass did.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// Sockets destroyed.
    pub(super) destroyed: u64,
    /// Network namespaces looked through.
    pub(super) namespaces: usize,
    /// What could not be done, with how often.
    pub(super) failures: BTreeMap<String, usize>,
    /// How long it took.
    pub(super) took: Duration,
}

impl Done {
    fn failed(&mut self, what: &str, error: &io::Error) {
        *self.failures.entry(format!("{what}: {error}")).or_default() += 1;
    }
}

/// Where to look, and how sockets are asked.
#[derive(Debug)]
pub(super) struct Pass {
    cgroup: PathBuf,
    sockets: DialledSockets,
}

/// Backends that are gone, by where their sockets are connected to.
type Wanted = BTreeMap<(Proto, Addr, Port), Vec<GoneBackend>>;

impl Pass {
    pub(super) fn new(cgroup: PathBuf, sockets: DialledSockets) -> Self {
        Self { cgroup, sockets }
    }

    /// Ends the sockets that were connected to one of these. The thread is in some other network namespace
    /// afterwards.
    pub(super) fn run(&self, gone: &[GoneBackend]) -> Done {
        let began = Instant::now();
        let mut wanted = Wanted::new();
        for backend in gone {
            let key = (backend.proto, backend.backend.addr(), backend.backend.port());
            wanted.entry(key).or_default().push(*backend);
        }
        let mut done = Done::default();
        match processes::namespaces(&self.cgroup) {
            Ok((namespaces, hidden)) => {
                if hidden > 0 {
                    let error = io::ErrorKind::PermissionDenied.into();
                    done.failed("cannot look into some processes (CAP_SYS_PTRACE)", &error);
                }
                for inode in namespaces.keys() {
                    if let Err(error) = self.look(*inode, &namespaces, &wanted, &mut done) {
                        done.failed("cannot look through a network namespace", &error);
                    }
                }
            }
            Err(error) => done.failed("cannot list the processes of the cgroup", &error),
        }
        done.took = began.elapsed();
        done
    }

    /// One network namespace.
    fn look(&self, inode: u64, namespaces: &Namespaces, wanted: &Wanted, done: &mut Done) -> io::Result<()> {
        let inside = namespaces.get(&inode).map(Vec::as_slice).unwrap_or_default();
        match processes::enter(inside) {
            // Its last process has ended, and its sockets with it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entered => entered?,
        }
        done.namespaces += 1;
        let mut diag = Diag::open()?;
        let mut left: BTreeMap<u32, Found> = BTreeMap::new();
        for proto in wanted.keys().map(|(proto, ..)| *proto).collect::<BTreeSet<_>>() {
            for family in [Family::V4, Family::V6] {
                let found = diag.connected(proto, family)?.into_iter();
                let meant = found.filter(|found| wanted.contains_key(&(proto, found.addr, found.port)));
                left.extend(meant.map(|found| (found.inode, found)));
            }
        }
        // Whoever is in the namespace most likely holds its sockets; any other process may.
        let others = namespaces.iter().filter(|(other, _)| **other != inode).flat_map(|(_, pids)| pids);
        for pid in inside.iter().chain(others) {
            if left.is_empty() {
                break;
            }
            let inodes = left.keys().copied().collect();
            for (inode, fd) in processes::take_sockets(*pid, &inodes) {
                let Some(found) = left.remove(&inode) else { continue };
                let backends =
                    wanted.iter().filter(|((_, addr, port), _)| (*addr, *port) == (found.addr, found.port));
                let mut backends = backends.flat_map(|(_, backends)| backends);
                match self.sockets.dialled(&fd) {
                    Ok(Some(dialled)) if backends.any(|gone| is_meant(&dialled, gone)) => {
                        end(&mut diag, &found, done);
                    }
                    Ok(_) => {}
                    Err(error) => {
                        done.failed("cannot read the storage of a socket", &io::Error::other(error))
                    }
                }
            }
        }
        Ok(())
    }
}

/// Whether a socket was connected to a frontend and sent to this backend: this one, not one that had its id, or
/// has its address, before or after.
fn is_meant(dialled: &Dialled, gone: &GoneBackend) -> bool {
    let to = dialled.to_backend();
    !dialled.is_none()
        && !dialled.is_datagram()
        && (to.backend(), to.generation()) == (gone.id, gone.backend.generation())
}

fn end(diag: &mut Diag, found: &Found, done: &mut Done) {
    match diag.destroy(found) {
        Ok(()) => done.destroyed += 1,
        // Its owner was faster.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => done.failed("the kernel refuses to end a socket (CONFIG_INET_DIAG_DESTROY)", &error),
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use lb_common::{Backend, BackendFlags, BackendId, ServiceId, SocketFlow};

    use super::*;

    fn flow(id: u32, generation: u32) -> SocketFlow {
        let addr = Addr::from(IpAddr::from([10, 244, 1, 11]));
        SocketFlow::new(addr, Port::new(53), BackendId::from_number(id), generation, 0)
    }

    #[test]
    fn only_a_socket_connected_to_this_owner_of_the_id_is_meant() {
        let frontend = Addr::from(IpAddr::from([10, 96, 0, 10]));
        let backend = Backend::new(flow(3, 1).addr(), Port::new(53), BackendFlags::GONE, 1, ServiceId::NONE);
        let gone = GoneBackend { id: BackendId::from_number(3), backend, proto: Proto::UDP };
        let connected = |flow| Dialled::connected(frontend, Port::new(53), flow);
        assert!(is_meant(&connected(flow(3, 1)), &gone));
        assert!(!is_meant(&connected(flow(3, 2)), &gone));
        assert!(!is_meant(&connected(flow(4, 1)), &gone));
        assert!(!is_meant(&Dialled::datagram(frontend, Port::new(53), flow(3, 1)), &gone));
        assert!(!is_meant(&Dialled::NONE, &gone));
    }
}
