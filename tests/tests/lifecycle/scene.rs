//! What the tests share: a node with pods, clients inside and outside, and an instance that ends and comes back.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lb_tests::manifest::{Manifest, Service, service};
use lb_tests::{
    Hammer, Inside, Network, Node, Options, Outside, Pod, Process, Shunt, check, serve, shunt_program, tcp,
};

/// The address, port and node port of the Service that all dial.
pub(crate) const WEB: &str = "10.96.0.10:80";
pub(crate) const NODE_PORT: u16 = 31_000;
/// The same of one with affinity.
pub(crate) const STICKY: &str = "10.96.0.11:80";
/// What is downloaded has no end: it outlasts whatever is done meanwhile.
const BYTES: u64 = 1 << 40;
const RATE: &str = "1M";
/// What the client's stack has room for: lowest, first, most.
const RECEIVED: &str = "4096 65536 262144";
/// So much more of it must come to show that it goes on: more than may have been there already.
const SOME: u64 = 2 << 20;
/// What a call of a dial may take on a machine that has much else to do.
const LIMIT: Duration = Duration::from_secs(20);
/// How long a condition may take to come true.
const PATIENCE: Duration = Duration::from_secs(30);

/// A node, with an instance on it or without. Its fields are dropped in this order.
pub(crate) struct Scene {
    pub(crate) shunt: Option<Shunt>,
    /// The state file of the next instance, in place of the node's.
    pub(crate) state_file: Option<PathBuf>,
    _servers: Vec<Process>,
    pub(crate) pods: Vec<Pod>,
    /// A pod that serves nothing.
    pub(crate) client: Pod,
    /// A client that no hook on sockets sees.
    pub(crate) outside: Outside,
    pub(crate) node: Node,
    _network: Network,
}

/// Waits until it is so.
#[track_caller]
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "not so: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Arguments of `shunt run`.
pub(crate) fn options(arguments: &[&str]) -> Options {
    Options { arguments: arguments.iter().map(Into::into).collect(), ..Options::default() }
}

impl Scene {
    /// Three pods behind two Services, and an instance.
    #[track_caller]
    pub(crate) fn serving() -> Self {
        let mut scene = Self::without_instance();
        let pods: Vec<_> = scene
            .pods
            .iter()
            .map(|pod| pod.manifest().label("app", "web").container_port("http", 80))
            .collect();
        let services = [
            service("web").selecting("app", "web").port(80).cluster_ip("10.96.0.10").node_port(NODE_PORT),
            sticky(),
        ];
        let mut manifests: Vec<&dyn Manifest> = pods.iter().map(|pod| pod as &dyn Manifest).collect();
        manifests.extend(services.iter().map(|service| service as &dyn Manifest));
        let shunt = Shunt::start(&scene.node, &Options::default(), &manifests);
        scene.shunt = Some(shunt.unwrap_or_else(|error| panic!("{error:#}")));
        scene
    }

    /// The pods, and nothing in the directory of manifests.
    #[track_caller]
    pub(crate) fn without_instance() -> Self {
        Self::try_set().unwrap_or_else(|error| panic!("{error:#}"))
    }

    fn try_set() -> anyhow::Result<Self> {
        let network = Network::create()?;
        let node = network.node("node-1")?;
        let mut pods = Vec::new();
        let mut servers = Vec::new();
        for name in ["pod-a", "pod-b", "pod-c"] {
            let pod = node.pod(name)?;
            servers.push(serve().http(80).udp(5000).at(&pod)?);
            pods.push(pod);
        }
        let client = node.pod("client")?;
        let outside = network.outside("outside")?;
        outside.place().set("net/ipv4/tcp_rmem", &format!("'{RECEIVED}'"))?;
        Ok(Self {
            shunt: None,
            state_file: None,
            _servers: servers,
            pods,
            client,
            outside,
            node,
            _network: network,
        })
    }

    /// Ends the instance.
    #[track_caller]
    pub(crate) fn end(&mut self, end: fn(Shunt) -> anyhow::Result<()>) {
        end(self.shunt.take().expect("an instance")).unwrap_or_else(|error| panic!("{error:#}"));
    }

    /// Starts one, and waits until all is in force.
    #[track_caller]
    pub(crate) fn resume(&mut self, arguments: &[&str]) {
        let options = Options { state_file: self.state_file.clone(), ..options(arguments) };
        let shunt = Shunt::resume(&self.node, &options);
        self.shunt = Some(shunt.unwrap_or_else(|error| panic!("{error:#}")));
    }

    /// Starts one that is refused, and gives what it says.
    #[track_caller]
    pub(crate) fn refused(&self, arguments: &[&str]) -> String {
        match Shunt::resume(&self.node, &options(arguments)) {
            Ok(shunt) => panic!("it was to be refused, and said:\n{}", shunt.log()),
            Err(error) => format!("{error:#}"),
        }
    }

    /// An address and port of the node that clients outside dial.
    pub(crate) fn node_port(&self) -> String {
        format!("{}:{NODE_PORT}", self.node.v4())
    }

    /// Runs the binary under test on the node, with the node's pins, and gives what it prints.
    pub(crate) fn command(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let pins = self.pins().display().to_string();
        let arguments: Vec<_> = arguments.iter().copied().chain(["--pin-dir", &pins]).collect();
        self.node.place().run(&shunt_program()?.display().to_string(), &arguments)
    }

    /// The directory of pins.
    pub(crate) fn pins(&self) -> PathBuf {
        self.node.pin_dir()
    }

    /// The names in a directory of pins, sorted.
    pub(crate) fn listed(&self, directory: impl AsRef<Path>) -> Vec<String> {
        let all = fs::read_dir(self.pins().join(directory)).into_iter().flatten().flatten();
        let mut names: Vec<_> = all.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// A file of this node's own.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.node.state_file().with_file_name(name)
    }

    #[track_caller]
    pub(crate) fn instance(&self) -> &Shunt {
        self.shunt.as_ref().expect("an instance")
    }

    /// Waits for a line in the log, after the first `seen` ones.
    #[track_caller]
    pub(crate) fn hears(&self, seen: usize, words: &str) -> String {
        self.hears_that(seen, |line| line.contains(words))
    }

    #[track_caller]
    pub(crate) fn hears_that(&self, seen: usize, is_it: impl Fn(&str) -> bool) -> String {
        self.instance().wait_for_line(seen, is_it).unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// Waits until the node port is served, or no more, by this address.
    #[track_caller]
    pub(crate) fn lists(&self, address: &str, wanted: bool) {
        let waited = self.instance().wait_until_listed(address, wanted);
        waited.unwrap_or_else(|error| panic!("{error:#}"));
    }

    #[track_caller]
    pub(crate) fn serves(&self) {
        check::dial(&self.client, &tcp(WEB));
        check::dial(&self.outside, &tcp(self.node_port()));
    }

    /// Clients that dial without pause from inside and from outside, and a download from outside that goes on.
    #[track_caller]
    pub(crate) fn load(&self) -> Load {
        let outside =
            tcp(self.node_port()).within(LIMIT).hammer(&self.outside, 4, self.file("outside.jsonl"));
        let outside = outside.unwrap_or_else(|error| panic!("{error:#}"));
        Load { inside: self.inside(), outside, download: self.download() }
    }

    /// Clients that dial without pause from inside.
    #[track_caller]
    pub(crate) fn inside(&self) -> Hammer {
        let hammer =
            tcp(WEB).then(self.node_port()).within(LIMIT).hammer(&self.client, 4, self.file("inside.jsonl"));
        hammer.unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// A download from outside by one connection, until it is ended.
    #[track_caller]
    pub(crate) fn download(&self) -> Download {
        let (url, file) = (format!("http://{}/bytes/{BYTES}", self.node_port()), self.file("download"));
        let mut curl = self.outside.place().command("curl").expect("a command");
        curl.args(["-sSf", "--limit-rate", RATE, &url, "-o"]).arg(&file);
        let curl = Process::start("the download", &mut curl).expect("a download");
        let download = Download { curl, file };
        check::until("the download has begun", || download.length() > 0);
        download
    }
}

/// A Service whose clients keep their pod.
pub(crate) fn sticky() -> Service {
    service("sticky")
        .selecting("app", "web")
        .port(80)
        .cluster_ip("10.96.0.11")
        .with("sessionAffinity", "ClientIP".into())
}

/// Clients at work.
pub(crate) struct Load {
    inside: Hammer,
    outside: Hammer,
    download: Download,
}

/// A download that goes on.
pub(crate) struct Download {
    curl: Process,
    file: PathBuf,
}

impl Download {
    fn length(&self) -> u64 {
        fs::metadata(&self.file).map_or(0, |file| file.len())
    }

    /// Ends it: it still went on, and every byte of it is what it has to be.
    #[track_caller]
    pub(crate) fn end_unharmed(self) {
        let before = self.length();
        check::until("the download goes on", || self.length() > before + SOME);
        // It had not ended by itself.
        self.curl.kill().unwrap_or_else(|error| panic!("{error:#}"));
        let file = fs::File::open(&self.file).expect("what was downloaded");
        let (mut got, mut length) = (BufReader::new(file), 0);
        for block in lb_tests::wire::blocks() {
            let mut part = Vec::new();
            let read = got.by_ref().take(block.len() as u64).read_to_end(&mut part).expect("a block");
            assert!(part == block[..read], "another block at {length}");
            length += read;
            if read < block.len() {
                break;
            }
        }
        println!("the download: {length} bytes");
    }
}

impl Load {
    /// Ends it: no dial failed, and the download went on all the while.
    #[track_caller]
    pub(crate) fn end_unharmed(self) {
        self.download.end_unharmed();
        for (place, hammer) in [("inside", self.inside), ("outside", self.outside)] {
            let (report, blows) = hammer.stop().unwrap_or_else(|error| panic!("{error:#}"));
            assert_eq!(report.by_failure, BTreeMap::new(), "{place}, of {} dials", report.dials);
            let slowest = blows.iter().map(|blow| blow.ended_ns - blow.started_ns).max().unwrap_or_default();
            println!("{place}: {} dials, the slowest took {} ms", report.dials, slowest / 1_000_000);
        }
    }
}
