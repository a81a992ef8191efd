//! Sockets whose backend is gone, ended so that their clients learn at once.
//!
//! A connected UDP socket has no way to hear that its backend is gone: it goes on sending to an address where
//! nobody is, or somebody else (CT-01, CT-03, for sockets that Shunt rewrote at connect(2), which no conntrack
//! entry knows). Such a socket is destroyed (`SOCK_DESTROY`): its owner's next call fails with `ECONNABORTED`,
//! and it dials anew. TCP connections of a backend that is gone are left to themselves (CT-04), unless asked
//! for. Unconnected UDP sockets need none of this: each datagram chooses anew.
//!
//! How it is known whose sockets they are: the kernel lists the sockets of a network namespace by the address
//! they are connected to, which a client that dialled the pod itself has too. What tells them apart is the
//! socket's own storage, where connect(2) was remembered, and that is read by a descriptor of the socket:
//! so it is looked for among the descriptors of the processes served, taken over for a moment
//! (`pidfd_getfd`), and asked. It is destroyed by its cookie, which no other socket ever has.
//!
//! Where more backends go at once than are worth remembering, and once when an instance begins, each connected
//! socket is asked, and `BACKENDS` says whether its backend is gone: the number is free, another's, or marked.
//!
//! Invariants: only a socket whose own storage names a backend that is gone, by id *and* generation, is
//! destroyed; what waits to be looked for is bounded ([`wanted`]); only namespaces of processes of the served cgroup are entered; what can't be asked is left
//! alone; a pass never holds up the engine; a failure is told in the log, and is never fatal.
//!
//! Left alone, therefore: a socket that no process of the served cgroup holds a descriptor of (it is in
//! flight over a UNIX socket, or the process can't be looked into, which takes `CAP_SYS_PTRACE` and the
//! node's process ids), one in a namespace that no such process is in, and all of them on a kernel without
//! `CONFIG_INET_DIAG_DESTROY` or older than Linux 5.6.

mod diag;
mod pass;
mod processes;
mod wanted;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use lb_common::Proto;

use crate::datapath::DialledSockets;
use crate::reconcile::GoneBackend;
use pass::{Done, Pass};
use wanted::{Mailbox, Wanted};

/// After this long a backend that is gone is looked for once more: a dial may have chosen it just before it
/// went, and been connected just after the first look.
const SECOND_LOOK: Duration = Duration::from_millis(500);

/// After a pass there is none for so many times as long as it took: a fifth of a processor is the limit.
const REST: u32 = 4;

/// Whose sockets are destroyed.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The served cgroup: processes in it and below.
    pub cgroup: PathBuf,
    /// TCP connections too.
    pub tcp: bool,
}

impl Rules {
    /// Whether sockets of a protocol are ended at all.
    fn include(&self, proto: Proto) -> bool {
        proto == Proto::UDP || (self.tcp && proto == Proto::TCP)
    }
}

/// Ends sockets, on a thread of its own: it moves from namespace to namespace.
#[derive(Debug)]
pub struct Terminator {
    rules: Rules,
    mailbox: Arc<Mailbox>,
}

impl Terminator {
    /// Begins, by asking each socket: an instance before this one may have ended between giving a backend's
    /// number up and its look. The thread ends after this is dropped.
    ///
    /// # Errors
    ///
    /// Where no thread can be started.
    pub fn begin(rules: Rules, sockets: DialledSockets) -> io::Result<Self> {
        let mailbox = Arc::new(Mailbox::with(Wanted::all()));
        let pass = Pass::new(rules.clone(), sockets);
        let inbox = Arc::clone(&mailbox);
        thread::Builder::new().name("terminate".to_owned()).spawn(move || work(&pass, &inbox))?;
        Ok(Self { rules, mailbox })
    }

    /// These backends are gone: nothing chooses them any more. Returns at once.
    pub fn tell(&self, gone: &[GoneBackend]) {
        self.mailbox.put(gone.iter().filter(|gone| self.rules.include(gone.proto)).copied());
    }
}

impl Drop for Terminator {
    fn drop(&mut self) {
        self.mailbox.close();
    }
}

/// Looks at once, and once more later; what comes meanwhile is looked for together.
fn work(pass: &Pass, inbox: &Mailbox) {
    // What is looked for once more, and when; and what was looked for since that was decided.
    let mut second: Option<(Instant, Wanted)> = None;
    let mut third = Wanted::default();
    let mut total = 0;
    while let Some(mut wanted) = inbox.take(second.as_ref().map(|(at, _)| *at)) {
        third.merge(wanted.clone());
        if let Some((_, due)) = second.take_if(|(at, _)| *at <= Instant::now()) {
            wanted.merge(due);
        }
        if second.is_none() && !third.is_empty() {
            second = Some((Instant::now() + SECOND_LOOK, std::mem::take(&mut third)));
        }
        let done = pass.run(&wanted);
        total += done.destroyed;
        tell(&done, &wanted, total);
        // On a node with many processes a pass takes its time, and there may be one after the other.
        thread::sleep((done.took * REST).min(SECOND_LOOK));
    }
}

fn tell(done: &Done, wanted: &Wanted, total: u64) {
    if done.destroyed > 0 {
        tracing::info!(
            destroyed = done.destroyed,
            backends = wanted.backends().len(),
            all = wanted.is_all(),
            namespaces = done.namespaces,
            total,
            took = ?done.took,
            "ended sockets whose backend is gone"
        );
    }
    for (why, count) in &done.failures {
        tracing::warn!(count, "sockets whose backend is gone may live on: {why}");
    }
}
