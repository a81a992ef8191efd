//! What a kube-proxy of mode `ipvs` left.

use lb_tests::{Inside, Network, Options, Shunt, shunt_program};

#[test]
fn virtual_servers_and_their_device_are_taken_away() {
    let network = Network::create().unwrap();
    let node = network.node("node-1").unwrap();
    let shell = |line: &str| {
        node.place().run("sh", &["-c", line]).unwrap_or_else(|error| panic!("{line}: {error:#}"))
    };
    shell("ip link add kube-ipvs0 type dummy && ip addr add 10.96.0.10/32 dev kube-ipvs0");
    shell("ipvsadm -A -t 10.96.0.10:80 -s rr && ipvsadm -a -t 10.96.0.10:80 -r 10.244.1.11:80 -m");
    assert!(shell("ipvsadm -Ln").contains("10.244.1.11:80"));
    let shunt = Shunt::start(&node, &Options::default(), &[]).unwrap_or_else(|error| panic!("{error:#}"));
    let program = shunt_program().unwrap();
    let (program, pins) = (program.display().to_string(), node.pin_dir().display().to_string());
    let said = node
        .place()
        .run(&program, &["takeover", "--force", "--pin-dir", &pins])
        .unwrap_or_else(|error| panic!("{error:#}"));
    assert!(said.contains("IPVS"), "{said}");
    assert!(!shell("ipvsadm -Ln").contains("10.96.0.10"));
    assert!(!shell("ip -o link").contains("kube-ipvs0"));
    drop(shunt);
}
