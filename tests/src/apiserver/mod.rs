//! An API server for tests: it lists, watches and patches as the real one does, and fails when told to.
//!
//! Like the real one it has one count of versions for all kinds, lists in pages, streams lists, sends
//! bookmarks, tells a selector's watch that an object which is no longer selected was deleted, and says 410
//! Gone to whoever asks for what it has forgotten. Unlike it, it believes whatever it is given: objects are
//! not validated but for events, nothing is allocated, and nobody is asked who they are.

mod answer;
mod event;
mod resource;
mod selector;
mod server;
mod state;
mod store;
mod stream;
mod tls;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio_rustls::TlsAcceptor;

use self::server::Command;
use self::state::{Shared, State};
use crate::manifest::Manifest;
use crate::place::Inside;

pub use self::state::{Fault, Features, Request};

/// How long something may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a listener comes about, again and again.
type Listen = Box<dyn Fn(SocketAddr) -> Result<TcpListener> + Send + Sync>;

/// A running server; it ends when dropped.
pub struct ApiServer {
    address: SocketAddr,
    listen: Listen,
    authority: Option<String>,
    shared: Arc<Shared>,
    commands: Option<mpsc::UnboundedSender<Command>>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl fmt::Debug for ApiServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiServer").field("address", &self.address).finish_non_exhaustive()
    }
}

impl ApiServer {
    /// A server on this process' loopback. It has what every cluster has: the Service `kubernetes` with an
    /// endpoint.
    pub fn start() -> Result<Self> {
        let listen = |address| TcpListener::bind(address).with_context(|| format!("listen on {address}"));
        Self::with_listener((Ipv4Addr::LOCALHOST, 0).into(), Box::new(listen), None)
    }

    /// The same by https.
    pub fn start_with_tls() -> Result<Self> {
        let listen = |address| TcpListener::bind(address).with_context(|| format!("listen on {address}"));
        let tls = tls::acceptor(Ipv4Addr::LOCALHOST.into())?;
        Self::with_listener((Ipv4Addr::LOCALHOST, 0).into(), Box::new(listen), Some(tls))
    }

    /// The same, on an address in the network namespace of a place.
    pub fn start_at(place: &impl Inside, address: SocketAddr) -> Result<Self> {
        let place = place.place().clone();
        Self::with_listener(address, Box::new(move |address| place.listen(address)), None)
    }

    fn with_listener(
        address: SocketAddr,
        listen: Listen,
        tls: Option<(TlsAcceptor, String)>,
    ) -> Result<Self> {
        let listener = listen(address)?;
        let address = listener.local_addr().context("the address of a listener")?;
        let shared = Arc::new(Shared::new(State::default()));
        let (sender, commands) = mpsc::unbounded_channel();
        let serving = Arc::clone(&shared);
        let (tls, authority) = tls.unzip();
        let thread = thread::spawn(move || server::serve(&serving, tls, commands));
        let server =
            Self { address, listen, authority, shared, commands: Some(sender), thread: Some(thread) };
        server.put_kubernetes()?;
        server.command(|done| Command::Listen(listener, done))?;
        Ok(server)
    }

    /// What every API server makes, and makes again: the Service that leads to it.
    fn put_kubernetes(&self) -> Result<()> {
        let service = json!({
            "kind": "Service",
            "metadata": { "name": "kubernetes", "labels": { "component": "apiserver" } },
            "spec": {
                "type": "ClusterIP", "clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1"],
                "ipFamilies": ["IPv4"],
                "ports": [{
                    "name": "https", "port": 443, "protocol": "TCP", "targetPort": self.address.port(),
                }],
            },
        });
        // No API server takes an endpoint on loopback; one that listens there says an address that nobody has.
        let ip = self.address.ip();
        let ip = if ip.is_loopback() { Ipv4Addr::new(192, 0, 2, 1).into() } else { ip };
        let slice = json!({
            "kind": "EndpointSlice",
            "metadata": { "name": "kubernetes", "labels": { "kubernetes.io/service-name": "kubernetes" } },
            "addressType": "IPv4",
            "endpoints": [{ "addresses": [ip.to_string()], "conditions": { "ready": true } }],
            "ports": [{ "name": "https", "port": self.address.port(), "protocol": "TCP" }],
        });
        self.put(&[&service, &slice])
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it is, as `--api-server` has it.
    pub fn url(&self) -> String {
        let scheme = if self.authority.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// The certificate authority of a server with TLS, in PEM.
    pub fn authority(&self) -> Option<&str> {
        self.authority.as_deref()
    }

    /// Puts objects there, in place of those of the same kind and name.
    pub fn put(&self, manifests: &[&dyn Manifest]) -> Result<()> {
        let objects: Result<Vec<_>> = manifests
            .iter()
            .map(|manifest| {
                let value = manifest.to_value();
                let kind = value["kind"].as_str().unwrap_or_default();
                let resource = resource::of_kind(kind).with_context(|| format!("no kind {kind:?} is served"));
                Ok((resource?, value))
            })
            .collect();
        let objects = objects?;
        self.shared.change(|state| {
            for (resource, object) in objects {
                state.store.put(resource, object);
            }
        });
        Ok(())
    }

    /// Takes an object out; `namespace` is empty where its kind has none.
    pub fn remove(&self, kind: &str, namespace: &str, name: &str) -> Result<()> {
        let resource = resource::of_kind(kind).with_context(|| format!("no kind {kind:?} is served"))?;
        let key = (resource.plural, namespace.to_owned(), name.to_owned());
        let removed = self.shared.change(|state| state.store.remove(&key));
        removed.map(drop).with_context(|| format!("there is no {kind} {namespace}/{name}"))
    }

    /// Another version of the server.
    pub fn set_features(&self, features: Features) {
        self.shared.change(|state| state.features = features);
    }

    /// Every request fails so from now on.
    pub fn fail(&self, fault: Fault) {
        self.shared.change(|state| {
            (state.fault, state.fault_count, state.fault_of) = (Some(fault), None, None);
        });
    }

    /// Every request for objects of a kind fails so from now on.
    pub fn fail_for(&self, kind: &str, fault: Fault) {
        let plural = resource::of_kind(kind).map(|resource| resource.plural);
        self.shared.change(|state| {
            (state.fault, state.fault_count, state.fault_of) = (Some(fault), None, plural);
        });
    }

    /// The next requests fail so.
    pub fn fail_times(&self, count: usize, fault: Fault) {
        let fault = Some(fault).filter(|_| count > 0);
        self.shared.change(|state| {
            (state.fault, state.fault_count, state.fault_of) = (fault, Some(count), None);
        });
    }

    /// Nothing fails from now on.
    pub fn heal(&self) {
        self.shared.change(|state| state.fault = None);
    }

    /// Its cache stands still from now on: who asks for any version (`resourceVersion=0`) is told how it is now,
    /// whatever happens.
    pub fn stand_still(&self) {
        self.shared.change(|state| state.stale = Some(state.store.clone()));
    }

    /// Forgets what happened: who asks for it, or has not heard it yet, is told 410 Gone.
    pub fn compact(&self) {
        self.shared.change(|state| state.store.compact());
    }

    /// Sends a bookmark on every watch.
    pub fn bookmark(&self) {
        self.shared.change(|state| state.bookmarks += 1);
    }

    /// Ends every watch, as a server does when its time is over.
    pub fn end_watches(&self) {
        self.shared.change(|state| state.ends += 1);
    }

    /// Waits until every watch under way has told everything.
    pub fn wait_until_told(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            {
                let state = self.shared.read();
                let now = (state.store.version(), state.bookmarks);
                if state.told.values().all(|told| *told == now) {
                    return Ok(());
                }
                ensure!(Instant::now() < deadline, "at {now:?}, the watches have told {:?}", state.told);
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// For the next pages but the first of a list, the list is forgotten.
    pub fn forget_pages(&self, count: usize) {
        self.shared.change(|state| state.forgotten_pages = count);
    }

    /// Sends a line on every watch, whatever it is.
    pub fn say(&self, line: &str) {
        self.shared.change(|state| state.lines.push(line.to_owned()));
    }

    /// Closes every connection.
    pub fn cut(&self) -> Result<()> {
        self.command(Command::Cut)
    }

    /// Closes every connection; who connects is refused.
    pub fn leave(&self) -> Result<()> {
        self.command(Command::Leave)
    }

    /// Is there again, with all that it had.
    pub fn come_back(&self) -> Result<()> {
        // What listened before may still be on its way out.
        let in_use = |error: &anyhow::Error| {
            let kinds = error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>());
            kinds.into_iter().any(|cause| cause.kind() == std::io::ErrorKind::AddrInUse)
        };
        let deadline = Instant::now() + PATIENCE;
        let listener = loop {
            match (self.listen)(self.address) {
                Err(error) if in_use(&error) && Instant::now() < deadline => {
                    std::thread::sleep(std::time::Duration::from_millis(5));
                }
                listener => break listener?,
            }
        };
        self.command(|done| Command::Listen(listener, done))
    }

    /// Every request so far.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.read().requests.clone()
    }

    /// Waits until the requests are so.
    pub fn wait_for(&self, wanted: impl Fn(&[Request]) -> bool) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !wanted(&self.requests()) {
            ensure!(Instant::now() < deadline, "these were the requests: {:#?}", self.requests());
            thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// The objects of a kind, as they are there now.
    pub fn objects(&self, kind: &str) -> Result<Vec<Value>> {
        let resource = resource::of_kind(kind).with_context(|| format!("no kind {kind:?} is served"))?;
        Ok(self.shared.read().store.all(resource, None).iter().map(|object| (**object).clone()).collect())
    }

    fn command(&self, command: impl FnOnce(oneshot::Sender<()>) -> Command) -> Result<()> {
        let (done, is_done) = oneshot::channel();
        let commands = self.commands.as_ref().context("the server has ended")?;
        commands.send(command(done)).ok().context("the server has ended")?;
        is_done.blocking_recv().context("the server has ended")
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        drop(self.commands.take());
        if let Some(Ok(Err(error))) = self.thread.take().map(JoinHandle::join) {
            eprintln!("the API server failed: {error:#}");
        }
    }
}
