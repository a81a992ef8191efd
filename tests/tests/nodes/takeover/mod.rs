//! `shunt takeover`: kube-proxy's rules go, everybody else's stay, and so do connections.

use std::fs;

use anyhow::Result;
use lb_tests::{Inside, Node, Process, check, shunt_program, tcp};

use crate::scene::{Scene, web};

/// As kube-proxy's nftables mode makes them, with a node port 31999 that leads to the first pod; and a table of
/// somebody else's.
const NFTABLES: &str = include_str!("nftables.rules");
/// As its iptables mode makes them, with a node port 31998; among the kubelet's, a CNI plugin's and a person's.
const IPTABLES: &str = include_str!("iptables.rules");

/// What stays of the latter: nothing else.
const STAYS: [&str; 7] = [
    "-A CNI-HOSTPORT-SETMARK -m comment --comment \"CNI portfwd masquerade mark\" -j KUBE-MARK-MASQ",
    "-A INPUT -j KUBE-FIREWALL",
    "-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -j DROP",
    "-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000",
    "-A POSTROUTING -s 10.88.0.0/16 -j MASQUERADE",
    "-A PREROUTING -j CNI-HOSTPORT-SETMARK",
    "-A OUTPUT -p tcp -m tcp --dport 9 -j ACCEPT",
];

#[track_caller]
fn shell(node: &Node, line: &str) -> String {
    node.place().run("sh", &["-c", line]).unwrap_or_else(|error| panic!("{error:#}"))
}

fn takeover(node: &Node, arguments: &[&str]) -> Result<String> {
    let pin_dir = node.pin_dir().display().to_string();
    let arguments = [&["takeover", "--pin-dir", &pin_dir], arguments].concat();
    node.place().run(&shunt_program()?.display().to_string(), &arguments)
}

/// Puts a file of rules in force.
#[track_caller]
fn put(node: &Node, with: &str, rules: &str) {
    let file = node.state_file().with_file_name("rules");
    fs::write(&file, rules).expect("rules");
    shell(node, &format!("{with} < {}", file.display()));
}

/// RST-03
#[test]
fn kube_proxys_rules_of_every_kind_go_and_all_others_stay_with_connections_under_way() {
    let scene = Scene::serving(&[&web("web").port(80).cluster_ip("10.96.0.10").node_port(31000)]);
    let outside = scene.outside("client");
    let node = &scene.node;
    assert_eq!(scene.pods[0].v4().to_string(), "10.244.1.11", "what the rules lead to");
    put(node, "nft -f -", NFTABLES);
    for variant in ["iptables-nft-restore", "iptables-legacy-restore"] {
        put(node, &format!("{variant} --noflush"), IPTABLES);
    }
    node.ip(&["link add name kube-ipvs0 type bridge"]).expect("a device");
    // A set that a rule of its own still refers to.
    shell(node, "ipset create KUBE-CLUSTER-IP hash:ip,port");
    shell(node, "iptables-nft -t nat -A KUBE-SERVICES -m set --match-set KUBE-CLUSTER-IP dst,dst -j RETURN");
    let old = tcp(format!("{}:31999", node.v4()));
    let under_way = old.hold(&outside).unwrap_or_else(|error| panic!("{error:#}"));

    let said = takeover(node, &["--dry-run"]).expect("a look");
    for found in
        ["nftables table ip kube-proxy", "nftables table ip6 kube-proxy", "IPVS with the device kube-ipvs0"]
    {
        assert!(said.contains(&format!("found {found}")), "{said}");
    }
    for program in ["iptables-nft-save", "iptables-legacy-save"] {
        let line = format!("found 7 chains of {program}; nat/KUBE-MARK-MASQ stay");
        assert!(said.contains(&line), "{said}");
    }
    let said = takeover(node, &[]).unwrap_or_else(|error| panic!("{error:#}"));
    assert!(said.contains("removed; connections that were under way go on"), "{said}");

    let tables = shell(node, "nft list tables");
    assert!(!tables.contains("kube-proxy") && tables.contains("table inet foreign"), "{tables}");
    for program in ["iptables-nft-save", "iptables-legacy-save"] {
        let saved = shell(node, program);
        let mut rules: Vec<_> = saved.lines().filter(|line| line.starts_with("-A")).collect();
        let mut stays = STAYS;
        rules.sort_unstable();
        stays.sort_unstable();
        assert_eq!(rules, stays, "{program}");
        let chains = saved.lines().filter(|line| line.starts_with(":KUBE-")).count();
        assert_eq!(chains, 2, "{saved}");
    }
    assert!(!shell(node, "cat /proc/net/dev").contains("kube-ipvs0"));
    assert_eq!(shell(node, "ipset list -n").trim(), "");
    let end = under_way.ask().unwrap_or_else(|error| panic!("{error:#}"));
    assert_eq!(end.failure, None, "a connection through the old rules goes on");
    check::refused(&outside, &old, "ECONNREFUSED");
    check::dial(&outside, &tcp(format!("{}:31000", node.v4())));
    check::dial(&scene.client, &tcp("10.96.0.10:80"));
    assert!(takeover(node, &["--dry-run"]).expect("a look").contains("nat/KUBE-MARK-MASQ stay"));
    takeover(node, &[]).expect("nothing wrong in a second time");
}

/// RST-03
#[test]
fn without_the_tools_what_is_there_is_known_all_the_same_and_not_said_to_be_nothing() {
    let scene = Scene::serving(&[&web("web").port(80).cluster_ip("10.96.0.10")]);
    let node = &scene.node;
    // A machine of its own whose programs for the network are gone; its first process is the shell.
    let without_tools = || {
        let program = shunt_program().expect("the program").display().to_string();
        let line = format!("mount -t tmpfs none /usr/sbin && {program} takeover --dry-run --force");
        node.place().run("unshare", &["-mpf", "--mount-proc", "sh", "-c", &line])
    };
    assert_eq!(without_tools().expect("nothing").trim(), "nothing of a kube-proxy's is here");
    put(node, "nft -f -", NFTABLES);
    assert!(without_tools().expect("a table").contains("found nftables table ip kube-proxy"));
    put(node, "iptables-nft-restore --noflush", IPTABLES);
    let why = format!("{:#}", without_tools().expect_err("chains that no program can show"));
    assert!(why.contains("cannot look: nf_tables has chains (8) with kube-proxy's names"), "{why}");
    assert!(why.contains("the node has no `iptables-nft-save`: install it"), "{why}");
    put(node, "iptables-legacy-restore --noflush", IPTABLES);
    let why = format!("{:#}", without_tools().expect_err("tables that no program can show"));
    assert!(why.contains("cannot look: legacy iptables has the tables"), "{why}");
}

#[test]
fn an_instance_says_what_of_kube_proxys_is_on_the_node() {
    let scene = Scene::serving(&[&web("web").port(80).cluster_ip("10.96.0.10")]);
    let scene = scene.restart(lb_tests::Shunt::stop, |_, node| put(node, "nft -f -", NFTABLES));
    let said = "kube-proxy is, or was, on this node: nftables table ip kube-proxy";
    scene.shunt.wait_for_line(0, |line| line.contains(said)).unwrap_or_else(|error| panic!("{error:#}"));
}

#[test]
fn nothing_is_taken_over_while_nobody_serves_or_a_kube_proxy_runs() {
    let scene = Scene::serving(&[&web("web").port(80).cluster_ip("10.96.0.10")]);
    let program = scene.node.state_file().with_file_name("kube-proxy");
    fs::copy("/bin/sleep", &program).expect("a program");
    let mut command = scene.node.place().command(&program).expect("a command");
    let process = Process::start("kube-proxy", command.arg("600")).expect("a kube-proxy");
    put(&scene.node, "nft -f -", NFTABLES);
    let refused = |scene: &Scene| format!("{:#}", takeover(&scene.node, &[]).expect_err("a refusal"));
    let why = loop {
        let why = refused(&scene);
        // The command that becomes it has another name for a moment.
        if !why.contains("not removed") {
            break why;
        }
    };
    assert!(why.contains("a kube-proxy still runs"), "{why}");
    process.kill().expect("its end");
    let scene = scene.restart(lb_tests::Shunt::stop, |_, node| {
        let why = format!("{:#}", takeover(node, &[]).expect_err("a refusal"));
        assert!(why.contains("no `shunt run` serves with the pins in"), "{why}");
        assert!(shell(node, "nft list tables").contains("kube-proxy"));
    });
    takeover(&scene.node, &[]).expect("it serves again");
    assert!(!shell(&scene.node, "nft list tables").contains("kube-proxy"));
}
