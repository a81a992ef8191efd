//! A large cluster: how long, and how much memory.
//!
//! With 2,000 Services in the tier; with 10,000 by hand, on a quiet machine: `cargo xtask test cluster` builds it, and
//! its binary runs that with `--ignored --nocapture scale`.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use lb_tests::apiserver::{ApiServer, Features};
use lb_tests::manifest::{Manifest, service};
use lb_tests::{Network, Node, Options, Shunt, check, serve, slice, tcp};
use lb_userspace::datapath::{KernelStore, Pins};
use lb_userspace::reconcile::Store;
use serde_json::Value;

use crate::memory::peak;

const ENDPOINTS: u8 = 10;

/// What an instance may take for itself, and for each endpoint, in bytes: a list is put in force with twice the
/// memory that is kept of it.
const OF_ITSELF: u64 = 48 << 20;
const OF_AN_ENDPOINT: u64 = 2048;

/// The Service of a number, and its slice: its endpoints are of no pod but the first one's.
fn numbered(number: u16) -> [Value; 2] {
    let [high, low] = (number + 256).to_be_bytes();
    let name = format!("service-with-a-name-{number:05}");
    let service = service(&name).port(80).named("http").cluster_ip(&format!("10.97.{high}.{low}"));
    let slice = (0..ENDPOINTS).fold(slice(&name, "x7k2p").port("http", 8080), |slice, endpoint| {
        slice.endpoint([10, 100 + endpoint, high, low], "a-node-with-a-name.example.com")
    });
    [service.to_value(), slice.to_value()]
}

#[test]
fn scale_two_thousand_services_with_ten_endpoints_each_are_all_there_and_take_their_share_of_memory() {
    follow_many(2000);
}

#[test]
#[ignore = "it measures: by hand, on a quiet machine"]
fn scale_ten_thousand_services_with_ten_endpoints_each() {
    follow_many(10_000);
}

/// Follows so many Services, both ways of listing them, from nothing and over what was pinned.
#[track_caller]
fn follow_many(services: u16) {
    let network = Network::create().unwrap();
    let node = network.node("node-1").unwrap();
    let (pod, client) = (node.pod("pod-a").unwrap(), node.pod("client").unwrap());
    let _server = serve().http(80).at(&pod).unwrap();
    let api = ApiServer::start_at(&node, SocketAddr::new(node.v4().into(), 6443)).unwrap();
    let objects: Vec<Value> = (0..services).flat_map(numbered).collect();
    api.put(&objects.iter().map(|object| object as &dyn Manifest).collect::<Vec<_>>()).unwrap();
    let web = service("web").port(80).cluster_ip("10.96.0.10");
    api.put(&[&web, &slice("web", "a").port("", 80).endpoint(pod.v4(), "node-1")]).unwrap();
    // Besides those there are `kubernetes` and `web`, with an endpoint each.
    let endpoints = usize::from(services) * usize::from(ENDPOINTS) + 2;

    let mut port = 80;
    for streaming_lists in [true, false] {
        api.set_features(Features { streaming_lists, ..Features::default() });
        for start in ["first", "over what was pinned"] {
            let began = Instant::now();
            let shunt = Shunt::follow(&node, &Options::default(), &api.url()).unwrap();
            shunt.wait_until_complete().unwrap();
            let took = began.elapsed();
            let applied = shunt.wait_for_line(0, |line| line.contains("applied generation=")).unwrap();
            println!("streaming lists {streaming_lists}, {start} start: {took:?}; {}", memory(shunt.id()));
            println!("    {applied}");
            assert_eq!(in_force(&node), endpoints, "{start} start");
            check::dial(&client, &tcp("10.96.0.10:80"));
            change_one(&api, &shunt);
            println!("    after changes: {}", memory(shunt.id()));
            port += 1;
            relist(&api, &shunt, port);
            println!("    after a new list: {}", memory(shunt.id()));
            let most = OF_ITSELF + OF_AN_ENDPOINT * endpoints as u64;
            assert!(peak(&shunt) < most, "{} is more than {most} bytes", memory(shunt.id()));
            shunt.stop().unwrap();
        }
    }
}

/// How many endpoints the lists of the programs have.
pub(crate) fn in_force(node: &Node) -> usize {
    let store = KernelStore::open(&Pins::in_directory(&node.pin_dir())).unwrap();
    store.observe().unwrap().slots.into_values().collect::<BTreeSet<_>>().len()
}

/// One endpoint of one Service changes, again and again.
fn change_one(api: &ApiServer, shunt: &Shunt) {
    let mut times = vec![];
    for port in 9000..9050_u16 {
        let seen = shunt.lines_so_far();
        let began = Instant::now();
        let [_, mut slice] = numbered(1000);
        slice["ports"][0]["port"] = port.into();
        api.put(&[&slice]).unwrap();
        shunt.wait_for_line(seen, |line| line.contains("applied generation=")).unwrap();
        times.push(began.elapsed());
        std::thread::sleep(Duration::from_millis(30));
    }
    times.sort();
    println!("    one change, as seen from outside: median {:?}, worst {:?}", times[25], times[49]);
}

/// The server forgets what happened: all is listed anew, and one Service is new.
fn relist(api: &ApiServer, shunt: &Shunt, port: u16) {
    let seen = shunt.lines_so_far();
    api.leave().unwrap();
    api.put(&[&service("marker").port(port).cluster_ip("10.96.0.11")]).unwrap();
    let [service, slice] = numbered(1);
    api.put(&[&service, &slice]).unwrap();
    api.compact();
    api.come_back().unwrap();
    shunt.wait_for_line(seen, |line| line.contains("applied generation=")).unwrap();
    std::thread::sleep(Duration::from_secs(2));
}

fn memory(id: u32) -> String {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let wanted = |line: &&str| ["VmRSS", "VmHWM", "RssAnon"].iter().any(|name| line.starts_with(name));
    status
        .lines()
        .filter(wanted)
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect::<Vec<_>>()
        .join(", ")
}
