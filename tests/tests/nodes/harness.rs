//! The harness itself, without shunt: nodes are apart from each other and from the machine, pods reach each
//! other, and nothing is left.

use std::fs;
use std::path::{Path, PathBuf};

use lb_tests::wire::{Step, Transport};
use lb_tests::{Inside, Network, bind, check, serve, tcp, udp, udp_unconnected};

#[test]
fn pods_reach_each_other_by_their_addresses_of_both_families() {
    let network = Network::create().expect("a network");
    let node = network.node("node-1").expect("a node");
    let (server, client) = (node.pod("server").expect("a pod"), node.pod("client").expect("a pod"));
    let _serving = serve().http(80).udp(53).at(&server).expect("a server");
    for address in [format!("{}:80", server.v4()), format!("[{}]:80", server.v6())] {
        let answer = check::dial(&client, &tcp(&address));
        assert_eq!(answer.greeting.pod, "server");
        assert_eq!(answer.peer_name, Some(check::address(&address)));
        assert_eq!(answer.greeting.local, check::address(&address));
        assert_eq!(answer.greeting.peer, answer.own);
    }
    for address in [format!("{}:53", server.v4()), format!("[{}]:53", server.v6())] {
        for dial in [udp(&address), udp_unconnected(&address)] {
            let answer = check::dial(&client, &dial);
            assert_eq!(answer.greeting.pod, "server");
            assert_eq!(answer.source, Some(check::address(&address)));
        }
    }
}

#[test]
fn nodes_pods_and_clients_outside_reach_each_other() {
    let network = Network::create().expect("a network");
    let one = network.node("node-1").expect("a node");
    let two = network.node("node-2").expect("a node");
    let outside = network.outside("client").expect("a client");
    let (here, there) = (one.pod("here").expect("a pod"), two.pod("there").expect("a pod"));
    let _serving = serve().http(80).at(&there).expect("a server");
    let _on_node = serve().http(80).at(&two).expect("a server");
    for address in [format!("{}:80", there.v4()), format!("[{}]:80", there.v6())] {
        assert_eq!(check::dial(&here, &tcp(&address)).greeting.pod, "there");
        assert_eq!(check::dial(&one, &tcp(&address)).greeting.pod, "there");
    }
    for address in [format!("{}:80", two.v4()), format!("[{}]:80", two.v6())] {
        assert_eq!(check::dial(&outside, &tcp(&address)).greeting.pod, "node-2");
        assert_eq!(check::dial(&here, &tcp(&address)).greeting.pod, "node-2");
    }
}

#[test]
fn a_client_dials_as_it_is_told() {
    let network = Network::create().expect("a network");
    let node = network.node("node-1").expect("a node");
    let pod = node.pod("pod-a").expect("a pod");
    let _serving = serve().http(80).at(&pod).expect("a server");
    let address = format!("{}:80", pod.v4());
    let answer = check::dial(&node, &tcp(&address).mapped().from_port(4321));
    assert_eq!(answer.peer_name, Some(check::address(&format!("[::ffff:{}]:80", pod.v4()))));
    assert_eq!(answer.greeting.peer.port(), 4321);
    assert_eq!(check::answers(&node, &tcp(&address).then(&address).times(3)).len(), 6);
    check::refused(&node, &tcp(format!("{}:81", pod.v4())), "ECONNREFUSED");
    check::refused(&node, &udp(format!("{}:81", pod.v4())), "ECONNREFUSED");
    check::refused(&node, &tcp("198.51.100.1:80"), "ENETUNREACH");
}

#[test]
fn a_taken_port_is_reported_by_its_errno() {
    let network = Network::create().expect("a network");
    let node = network.node("node-1").expect("a node");
    let _serving = serve().http(80).at(&node).expect("a server");
    let taken = bind(&node, Transport::Tcp, "0.0.0.0:80").expect("a report");
    let failure = taken.failure.expect("a failure");
    assert_eq!((failure.step, failure.errno.as_str()), (Step::Bind, "EADDRINUSE"));
    assert_eq!(bind(&node, Transport::Tcp, "0.0.0.0:81").expect("a report").failure, None);
    assert_eq!(bind(&node, Transport::Udp, "[::]:80").expect("a report").failure, None);
}

#[test]
fn every_process_of_a_node_and_of_its_pods_is_in_the_cgroup_of_the_node() {
    let network = Network::create().expect("a network");
    let node = network.node("node-1").expect("a node");
    let pod = node.pod("pod-a").expect("a pod");
    let outside = network.outside("client").expect("a client");
    for place in [node.place(), pod.place()] {
        let said = place.run("cat", &["/proc/self/cgroup"]).expect("its cgroups");
        let inside = cgroup_v2(&said);
        assert!(place.cgroup().ends_with(inside.trim_start_matches('/')), "{said}");
        assert!(place.cgroup().starts_with(node.cgroup()), "{said}");
    }
    assert!(!outside.place().cgroup().starts_with(node.cgroup()));
}

#[test]
fn nothing_is_left_when_a_network_is_dropped_even_by_a_panic() {
    let traces = std::thread::spawn(|| {
        let network = Network::create().expect("a network");
        let node = network.node("node-1").expect("a node");
        let pod = node.pod("pod-a").expect("a pod");
        let serving = serve().http(80).at(&pod).expect("a server");
        std::mem::forget(serving);
        let namespaces =
            [&node.place(), &pod.place()].map(|place| Path::new("/run/netns").join(place.netns()));
        let traces: Vec<PathBuf> =
            [node.cgroup().to_owned(), node.manifests()].into_iter().chain(namespaces).collect();
        assert!(traces.iter().all(|trace| trace.exists()), "{traces:?}");
        std::panic::panic_any((traces, node.pin_dir()));
    })
    .join()
    .expect_err("the panic");
    let (traces, pin_dir) = *traces.downcast::<(Vec<PathBuf>, PathBuf)>().expect("the traces");
    for trace in traces {
        assert!(!trace.exists(), "{} is left", trace.display());
    }
    let mounts = fs::read_to_string("/proc/self/mounts").expect("the mounts");
    let bpffs = pin_dir.parent().expect("a bpffs").display().to_string();
    assert!(!mounts.contains(&bpffs), "{bpffs} is left mounted");
}

fn cgroup_v2(said: &str) -> &str {
    said.lines().find_map(|line| line.strip_prefix("0::")).expect("a cgroup v2")
}
