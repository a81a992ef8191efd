//! One look through all namespaces for sockets of backends that are gone.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use lb_common::{Addr, Backend, BackendFlags, Dialled, Port, Proto};

use super::Rules;
use super::diag::{Diag, Found};
use super::processes::{self, Namespaces};
use super::wanted::Wanted;
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
    rules: Rules,
    sockets: DialledSockets,
}

/// Whose sockets are meant.
enum Meant {
    /// Of backends that are gone, by where their sockets are connected to.
    Of(BTreeMap<(Proto, Addr, Port), Vec<GoneBackend>>),
    /// Of whatever backend is gone.
    Any,
}

impl Meant {
    fn by(wanted: &Wanted) -> Self {
        if wanted.is_all() {
            return Self::Any;
        }
        let mut backends: BTreeMap<_, Vec<GoneBackend>> = BTreeMap::new();
        for gone in wanted.backends() {
            let key = (gone.proto, gone.backend.addr(), gone.backend.port());
            backends.entry(key).or_default().push(*gone);
        }
        Self::Of(backends)
    }

    fn includes(&self, proto: Proto) -> bool {
        match self {
            Self::Of(backends) => backends.keys().any(|(of, ..)| *of == proto),
            Self::Any => true,
        }
    }

    /// Whether a socket is to be asked.
    fn may_be(&self, proto: Proto, found: &Found) -> bool {
        match self {
            Self::Of(backends) => backends.contains_key(&(proto, found.addr, found.port)),
            Self::Any => true,
        }
    }
}

impl Pass {
    pub(super) fn new(rules: Rules, sockets: DialledSockets) -> Self {
        Self { rules, sockets }
    }

    /// Ends the sockets that were connected to one of these. The thread is in some other network namespace
    /// afterwards.
    pub(super) fn run(&self, wanted: &Wanted) -> Done {
        let began = Instant::now();
        let mut done = Done::default();
        if wanted.is_empty() {
            return done;
        }
        let meant = Meant::by(wanted);
        match processes::namespaces(&self.rules.cgroup) {
            Ok((namespaces, hidden)) => {
                if hidden > 0 {
                    let error = io::ErrorKind::PermissionDenied.into();
                    done.failed("cannot look into some processes (CAP_SYS_PTRACE)", &error);
                }
                for inode in namespaces.keys() {
                    if let Err(error) = self.look(*inode, &namespaces, &meant, &mut done) {
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
    fn look(&self, inode: u64, namespaces: &Namespaces, meant: &Meant, done: &mut Done) -> io::Result<()> {
        let inside = namespaces.get(&inode).map(Vec::as_slice).unwrap_or_default();
        match processes::enter(inside) {
            // Its last process has ended, and its sockets with it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entered => entered?,
        }
        done.namespaces += 1;
        let mut diag = Diag::open()?;
        let mut left: BTreeMap<u32, Found> = BTreeMap::new();
        let protocols = [Proto::UDP, Proto::TCP].into_iter().filter(|proto| self.rules.include(*proto));
        for proto in protocols.filter(|proto| meant.includes(*proto)) {
            for family in [Family::V4, Family::V6] {
                let found = diag.connected(proto, family)?.into_iter();
                let asked = found.filter(|found| meant.may_be(proto, found));
                left.extend(asked.map(|found| (found.inode, found)));
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
                match self.sockets.dialled(&fd) {
                    Ok(Some(dialled)) if self.is_gone(&dialled, &found, meant) => {
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

    /// Whether a socket was sent to a backend that is gone.
    fn is_gone(&self, dialled: &Dialled, found: &Found, meant: &Meant) -> bool {
        match meant {
            Meant::Of(backends) => {
                let mut at =
                    backends.iter().filter(|((_, addr, port), _)| (*addr, *port) == (found.addr, found.port));
                at.any(|(_, backends)| backends.iter().any(|gone| is_meant(dialled, gone)))
            }
            Meant::Any => {
                let owner = self.sockets.backend(dialled.to_backend().backend());
                owner.is_some_and(|owner| is_left(dialled, &owner))
            }
        }
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

/// Whether a socket was connected to a frontend and sent to a backend that is gone by what its id is now.
fn is_left(dialled: &Dialled, now: &Backend) -> bool {
    let is_another = now.is_free() || dialled.to_backend().generation() != now.generation();
    !dialled.is_none() && !dialled.is_datagram() && (is_another || now.flags().has(BackendFlags::GONE))
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

    use lb_common::{BackendId, ServiceId, SocketFlow};

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

    #[test]
    fn a_backend_is_gone_when_its_number_is_free_another_s_or_marked() {
        let frontend = Addr::from(IpAddr::from([10, 96, 0, 10]));
        let serving = BackendFlags::IN_CLUSTER;
        let owner = |generation, flags| {
            Backend::new(flow(3, 1).addr(), Port::new(53), flags, generation, ServiceId::NONE)
        };
        let dialled = Dialled::connected(frontend, Port::new(53), flow(3, 1));
        assert!(!is_left(&dialled, &owner(1, serving)));
        assert!(!is_left(&dialled, &owner(1, BackendFlags::empty())), "it drains");
        assert!(is_left(&dialled, &owner(1, BackendFlags::GONE)));
        assert!(is_left(&dialled, &owner(2, serving)));
        assert!(is_left(&dialled, &Backend::free(2)) && is_left(&dialled, &Backend::free(1)));
        assert!(!is_left(&Dialled::datagram(frontend, Port::new(53), flow(3, 1)), &owner(2, serving)));
        assert!(!is_left(&Dialled::NONE, &Backend::free(0)));
    }
}
