//! The source of a cluster, driven without a node.

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use lb_tests::apiserver::ApiServer;
use lb_tests::manifest::{Service, service};
use lb_tests::{EndpointSlice, slice};
use lb_userspace::model::{Change, ObjectName, World};
use lb_userspace::notice::{Fate, Fates, Notices};
use lb_userspace::source::kubernetes::{Access, Options, Times, connect, publish, watch};
use lb_userspace::source::{Problem, SourceEvent};
use tokio::sync::{mpsc, oneshot};

/// How long something may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A source, and what it has said so far.
pub(crate) struct Followed {
    events: Receiver<SourceEvent>,
    /// What the events come to.
    pub(crate) world: World,
    /// What is wrong as of the last event.
    pub(crate) problems: Vec<Problem>,
    /// Everything that was ever said to be gone.
    pub(crate) gone: BTreeSet<ObjectName>,
    /// Events so far.
    pub(crate) count: usize,
    pub(crate) service_cidrs: Option<Vec<String>>,
    fates: Fates,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// As a test wants it: what failed is tried again soon.
pub(crate) fn options() -> Options {
    let (ask_again, longest_wait) = (Duration::from_millis(100), Duration::from_millis(400));
    let times = Times { ask_again, longest_wait, ..Times::default() };
    Options { times, ..Options::new("node-1") }
}

/// The same, but a list that is not believed is asked for again only after a while.
pub(crate) fn patient() -> Options {
    let options = options();
    Options { times: Times { ask_again: Duration::from_secs(2), ..options.times }, ..options }
}

impl Followed {
    /// Follows, and waits for the first picture.
    #[track_caller]
    pub(crate) fn start(servers: &[&ApiServer], options: Options) -> Self {
        let mut followed = Self::begin(servers, options);
        let first = followed.next();
        assert!(first.first, "{first:?}");
        followed
    }

    /// Follows.
    #[track_caller]
    pub(crate) fn begin(servers: &[&ApiServer], options: Options) -> Self {
        let urls = servers.iter().map(|server| server.url().parse().unwrap()).collect();
        Self::reach(Access { servers: urls, ..Access::default() }, options)
    }

    /// Follows what is reached so.
    #[track_caller]
    pub(crate) fn reach(access: Access, mut options: Options) -> Self {
        let fates = Fates::default();
        let (notices, told) = Notices::channel(fates.clone());
        options.notices = notices;
        let counted = fates.clone();
        let (sender, events) = channel();
        let (end, ended) = oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let cluster = connect(&access).await.unwrap();
                let publish = publish(cluster.clone(), options.node_name.clone(), told, counted);
                let (events, mut heard) = mpsc::channel(1);
                let forward = async {
                    while let Some(event) = heard.recv().await {
                        let _ = sender.send(event);
                    }
                };
                tokio::select! {
                    () = watch(cluster, options, events) => {}
                    () = forward => {}
                    () = publish => {}
                    _ = ended => {}
                }
            });
        });
        Self {
            events,
            world: World::default(),
            problems: vec![],
            gone: BTreeSet::new(),
            count: 0,
            service_cidrs: None,
            fates,
            end: Some(end),
            thread: Some(thread),
        }
    }

    /// The next event, taken into the world.
    #[track_caller]
    pub(crate) fn next(&mut self) -> SourceEvent {
        self.next_within(PATIENCE).expect("an event in time")
    }

    fn next_within(&mut self, time: Duration) -> Result<SourceEvent, RecvTimeoutError> {
        let event = self.events.recv_timeout(time)?;
        self.count += 1;
        self.problems.clone_from(&event.problems);
        if let Some(cidrs) = &event.service_cidrs {
            self.service_cidrs = Some(cidrs.iter().map(ToString::to_string).collect());
        }
        for change in &event.changes {
            if let Change::ServiceGone(name) | Change::SliceGone(name) = change {
                self.gone.insert(name.clone());
            }
            self.world.apply(change.clone());
        }
        Ok(event)
    }

    /// Takes in events until it is so.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so(self) {
            let left = deadline.saturating_duration_since(Instant::now());
            if self.next_within(left).is_err() {
                panic!("{what}: not so; services {:?}, problems {:?}", self.names(), self.problems);
            }
        }
    }

    /// Waits until so many notices have met with this fate.
    #[track_caller]
    pub(crate) fn wait_for_notices(&self, fate: Fate, count: u64) {
        let deadline = Instant::now() + PATIENCE;
        let counted = || self.fates.get_or_create(&[("became", fate.name())]).get();
        while counted() < count {
            assert!(Instant::now() < deadline, "{} in place of {count} are {}", counted(), fate.name());
            thread::sleep(Duration::from_millis(2));
        }
        assert_eq!(counted(), count, "{}", fate.name());
    }

    /// The names of the Services there are, without `kubernetes`.
    pub(crate) fn names(&self) -> Vec<String> {
        let names = self.world.services().map(|service| service.name.name.clone());
        names.filter(|name| name != "kubernetes").collect()
    }

    /// The addresses of the endpoints of a Service, in the order of their slices.
    pub(crate) fn endpoints(&self, service: &str) -> Vec<String> {
        let slices = self.world.slices_of(&ObjectName::new("default", service));
        slices
            .iter()
            .flat_map(|slice| slice.endpoints.iter().map(|endpoint| endpoint.address.to_string()))
            .collect()
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join)
            && !thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

/// A Service by number, with its slice.
pub(crate) fn numbered(number: u8) -> (Service, EndpointSlice) {
    let name = format!("web-{number:03}");
    let service = service(&name).port(80).cluster_ip(&format!("10.96.1.{number}"));
    (service, slice(&name, "a").port("", 8080).endpoint([10, 1, 0, number], "node-1"))
}

/// A server with so many of them.
#[track_caller]
pub(crate) fn server_with(count: u8) -> ApiServer {
    let server = ApiServer::start().unwrap();
    put(&server, 1..=count);
    server
}

/// Puts these there.
#[track_caller]
pub(crate) fn put(server: &ApiServer, numbers: impl IntoIterator<Item = u8>) {
    for number in numbers {
        let (service, slice) = numbered(number);
        server.put(&[&service, &slice]).unwrap();
    }
}

/// Takes one of them out.
#[track_caller]
pub(crate) fn remove(server: &ApiServer, number: u8) {
    let name = format!("web-{number:03}");
    server.remove("Service", "default", &name).unwrap();
    server.remove("EndpointSlice", "default", &format!("{name}-a")).unwrap();
}
