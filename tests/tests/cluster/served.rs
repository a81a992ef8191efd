//! A node of a cluster, with real sockets: what it serves whatever the API server does.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use lb_tests::apiserver::{ApiServer, Fault};
use lb_tests::manifest::service;
use lb_tests::wire::Outcome;
use lb_tests::{
    EndpointSlice, Hammer, Network, Node, Options, Pod, Process, Shunt, check, serve, slice, tcp,
};

const WEB: &str = "10.96.0.10:80";

/// A node with three pods that serve and one that dials, and an API server on the node. Its fields are
/// dropped in this order.
pub(crate) struct Scene {
    pub(crate) api: ApiServer,
    _servers: Vec<Process>,
    pods: Vec<Pod>,
    client: Pod,
    pub(crate) node: Node,
    _network: Network,
}

impl Scene {
    /// The Service `web` with all three pods.
    #[track_caller]
    pub(crate) fn set() -> Self {
        Self::try_set().unwrap_or_else(|error| panic!("{error:#}"))
    }

    fn try_set() -> anyhow::Result<Self> {
        let network = Network::create()?;
        let node = network.node("node-1")?;
        let (mut pods, mut servers) = (vec![], vec![]);
        for name in ["pod-a", "pod-b", "pod-c"] {
            let pod = node.pod(name)?;
            servers.push(serve().http(80).at(&pod)?);
            pods.push(pod);
        }
        let client = node.pod("client")?;
        let api = ApiServer::start_at(&node, SocketAddr::new(node.v4().into(), 6443))?;
        let scene = Self { api, _servers: servers, pods, client, node, _network: network };
        scene.api.put(&[&service("web").port(80).cluster_ip("10.96.0.10"), &scene.endpoints(&[0, 1, 2])])?;
        Ok(scene)
    }

    /// A slice of `web` with these of the pods.
    fn endpoints(&self, pods: &[usize]) -> EndpointSlice {
        let slice = slice("web", "a").port("", 80);
        pods.iter().fold(slice, |slice, &pod| slice.endpoint(self.pods[pod].v4(), "node-1"))
    }

    #[track_caller]
    pub(crate) fn put_endpoints(&self, pods: &[usize]) {
        self.api.put(&[&self.endpoints(pods)]).unwrap();
    }

    #[track_caller]
    pub(crate) fn follow(&self, servers: &str) -> Shunt {
        Shunt::follow(&self.node, &Options::default(), servers).unwrap_or_else(|error| panic!("{error:#}"))
    }

    #[track_caller]
    pub(crate) fn started(&self) -> Shunt {
        let shunt = self.follow(&self.api.url());
        shunt.wait_until_complete().unwrap_or_else(|error| panic!("{error:#}"));
        shunt
    }

    /// Clients that dial without pause.
    #[track_caller]
    pub(crate) fn hammer(&self) -> Hammer {
        let log = self.node.state_file().with_file_name("blows.jsonl");
        tcp(WEB).hammer(&self.client, 4, log).unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// Dials until these pods alone answer, all of them.
    #[track_caller]
    pub(crate) fn wait_for(&self, pods: &[&str]) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let answers = check::answers(&self.client, &tcp(WEB).times(30));
            let answering = check::pods(&answers);
            if answering == pods {
                return;
            }
            assert!(Instant::now() < deadline, "{answering:?} answer in place of {pods:?}");
        }
    }
}

/// Every one of the dials was answered, and there were some.
#[track_caller]
pub(crate) fn nothing_was_lost(hammer: Hammer) {
    let (report, _) = hammer.stop().unwrap_or_else(|error| panic!("{error:#}"));
    assert_eq!(report.by_failure, BTreeMap::new());
    assert!(report.dials > 100, "{} dials show nothing", report.dials);
}

#[test]
fn endpoints_of_a_cluster_are_served_as_they_come_and_go() {
    let scene = Scene::set();
    let _shunt = scene.started();
    scene.wait_for(&["pod-a", "pod-b", "pod-c"]);
    scene.put_endpoints(&[1]);
    scene.wait_for(&["pod-b"]);
    scene.api.remove("EndpointSlice", "default", "web-a").unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while matches!(tcp(WEB).from(&scene.client).unwrap()[0].outcome, Outcome::Answered(_)) {
        assert!(Instant::now() < deadline, "it is still answered");
    }
    check::refused(&scene.client, &tcp(WEB), "ECONNREFUSED");
}

/// Endpoints change while the server is away and again when it fails so, for a while: clients that dial all the time
/// lose nothing, and the last endpoints come into force. An empty list is asked for again only after a while, and so
/// fails less often.
#[track_caller]
fn nothing_is_lost_while_it(fault: Fault) {
    let scene = Scene::set();
    let shunt = scene.started();
    let hammer = scene.hammer();
    scene.put_endpoints(&[0, 1]);
    scene.api.leave().unwrap();
    scene.put_endpoints(&[1, 2]);
    scene.api.compact();
    let before = scene.api.requests().len();
    let count = if fault == Fault::Empty { 6 } else { 8 };
    scene.api.fail_times(count, fault.clone());
    scene.api.come_back().unwrap();
    let asked = scene.api.wait_for(|requests| requests.len() >= before + count);
    asked.unwrap_or_else(|error| panic!("{fault:?}: {error:#}\n{}", shunt.log()));
    scene.api.say("{\"type\":\"MODIFIED\",\"object\":7}");
    scene.wait_for(&["pod-b", "pod-c"]);
    scene.put_endpoints(&[2]);
    scene.wait_for(&["pod-c"]);
    nothing_was_lost(hammer);
}

#[test]
fn nothing_is_lost_while_the_api_server_refuses_everything() {
    for code in [401, 403, 429, 503] {
        nothing_is_lost_while_it(Fault::Status(code));
    }
}

#[test]
fn nothing_is_lost_while_the_api_server_breaks_off_or_says_what_nobody_understands() {
    for fault in [Fault::Cut, Fault::Garbage, Fault::Truncated, Fault::SpoiledWatches] {
        nothing_is_lost_while_it(fault);
    }
}

#[test]
fn nothing_is_lost_while_the_lists_of_the_api_server_are_empty_or_end_early() {
    for fault in [Fault::Empty, Fault::ShortLists, Fault::ShortWatches] {
        nothing_is_lost_while_it(fault);
    }
}

#[test]
fn nothing_is_lost_while_the_api_server_is_slow() {
    nothing_is_lost_while_it(Fault::Slow(Duration::from_secs(2)));
}

#[test]
fn nothing_is_lost_while_the_api_server_accepts_and_never_answers() {
    let scene = Scene::set();
    let _shunt = scene.started();
    let hammer = scene.hammer();
    scene.api.leave().unwrap();
    scene.put_endpoints(&[1]);
    scene.api.compact();
    let before = scene.api.requests().len();
    scene.api.fail(Fault::Silent);
    scene.api.come_back().unwrap();
    scene.api.wait_for(|requests| requests.len() >= before + 4).unwrap();
    scene.wait_for(&["pod-a", "pod-b", "pod-c"]);
    // It is waited for half a minute, then asked again.
    scene.api.wait_for(|requests| requests.len() >= before + 8).unwrap();
    scene.wait_for(&["pod-a", "pod-b", "pod-c"]);
    scene.api.heal();
    scene.api.cut().unwrap();
    scene.wait_for(&["pod-b"]);
    nothing_was_lost(hammer);
}

#[test]
fn nothing_is_lost_where_watching_is_forbidden_and_lists_tell_what_changes() {
    let scene = Scene::set();
    let _shunt = scene.started();
    let hammer = scene.hammer();
    scene.api.fail(Fault::NoWatch);
    scene.api.end_watches();
    for (pods, names) in [(vec![0, 1], vec!["pod-a", "pod-b"]), (vec![2], vec!["pod-c"])] {
        scene.put_endpoints(&pods);
        scene.wait_for(&names);
    }
    nothing_was_lost(hammer);
}

#[test]
fn an_api_server_that_is_away_for_a_minute_while_endpoints_change_loses_nothing() {
    let scene = Scene::set();
    let shunt = scene.started();
    let hammer = scene.hammer();
    let seen = shunt.lines_so_far();
    let began = Instant::now();
    scene.api.leave().unwrap();
    shunt.wait_for_line(seen, |line| line.contains("Kubernetes API") && line.contains("refused")).unwrap();
    // The minute itself is the condition.
    let turns: [&[usize]; 5] = [&[0, 1], &[1, 2], &[0], &[2], &[0, 1]];
    for (number, pods) in (1..).zip(turns) {
        scene.put_endpoints(pods);
        scene.wait_for(&["pod-a", "pod-b", "pod-c"]);
        std::thread::sleep(
            (began + Duration::from_secs(12) * number).saturating_duration_since(Instant::now()),
        );
    }
    scene.wait_for(&["pod-a", "pod-b", "pod-c"]);
    scene.api.come_back().unwrap();
    scene.wait_for(&["pod-a", "pod-b"]);
    nothing_was_lost(hammer);
}

#[test]
fn nothing_is_lost_over_restarts_while_endpoints_change() {
    let scene = Scene::set();
    let mut shunt = scene.started();
    let hammer = scene.hammer();
    for (number, end) in [Shunt::stop, Shunt::kill, Shunt::stop, Shunt::kill].into_iter().enumerate() {
        scene.put_endpoints(&[number % 3, (number + 1) % 3]);
        end(shunt).unwrap_or_else(|error| panic!("{error:#}"));
        scene.put_endpoints(&[(number + 1) % 3, (number + 2) % 3]);
        shunt = scene.started();
    }
    scene.put_endpoints(&[1]);
    scene.wait_for(&["pod-b"]);
    nothing_was_lost(hammer);
}

#[test]
fn a_restart_with_no_api_server_in_sight_serves_what_was_pinned() {
    let scene = Scene::set();
    scene.started().stop().unwrap();
    scene.api.leave().unwrap();
    let hammer = scene.hammer();
    let shunt = scene.follow(&scene.api.url());
    shunt.wait_for_line(0, |line| line.contains("Kubernetes API") && line.contains("refused")).unwrap();
    scene.wait_for(&["pod-a", "pod-b", "pod-c"]);
    assert!(shunt.lines_since(0).iter().all(|line| !line.contains("applied")), "{}", shunt.log());
    scene.put_endpoints(&[0]);
    scene.api.come_back().unwrap();
    shunt.wait_until_complete().unwrap();
    scene.wait_for(&["pod-a"]);
    nothing_was_lost(hammer);
}

#[test]
fn an_api_that_is_reached_by_the_service_that_is_served_is_found_again() {
    let scene = Scene::set();
    // The first time it is reached by its own address; then the Service `kubernetes` leads to it.
    scene.started().stop().unwrap();
    scene.api.leave().unwrap();
    let shunt = scene.follow("http://10.96.0.1:443");
    shunt.wait_for_line(0, |line| line.contains("http://10.96.0.1:443") && line.contains("refused")).unwrap();
    scene.wait_for(&["pod-a", "pod-b", "pod-c"]);
    scene.put_endpoints(&[0]);
    scene.api.come_back().unwrap();
    shunt.wait_until_complete().unwrap();
    scene.wait_for(&["pod-a"]);
}

#[test]
fn where_there_is_nothing_to_serve_it_is_said_what_to_name() {
    let output = std::process::Command::new(lb_tests::shunt_program().unwrap())
        .arg("run")
        // What the environment names (KUBERNETES_SERVICE_HOST, SHUNT_…) it would serve, on this machine.
        .env_clear()
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    for word in ["--kubeconfig", "--api-server", "--manifests"] {
        assert!(said.contains(word), "{word} is not in: {said}");
    }
}
