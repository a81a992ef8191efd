//! Behaviour of [`parse`].

use proptest::prelude::*;

use super::*;

/// As `kubeadm init` writes it into the ConfigMap kube-proxy.
const KUBEADM: &str = "\
apiVersion: kubeproxy.config.k8s.io/v1alpha1
bindAddress: 0.0.0.0
bindAddressHardFail: false
clientConnection:
  acceptContentTypes: \"\"
  burst: 0
  contentType: \"\"
  kubeconfig: /var/lib/kube-proxy/kubeconfig.conf
  qps: 0
clusterCIDR: 10.244.0.0/16
configSyncPeriod: 0s
conntrack:
  maxPerCore: null
  min: null
  tcpBeLiberal: false
  tcpCloseWaitTimeout: null
  tcpEstablishedTimeout: null
  udpStreamTimeout: 0s
  udpTimeout: 0s
detectLocal:
  bridgeInterface: \"\"
  interfaceNamePrefix: \"\"
detectLocalMode: \"\"
enableProfiling: false
healthzBindAddress: \"\"
hostnameOverride: \"\"
iptables:
  localhostNodePorts: null
  masqueradeAll: false
  masqueradeBit: null
  minSyncPeriod: 0s
  syncPeriod: 0s
ipvs:
  excludeCIDRs: null
  minSyncPeriod: 0s
  scheduler: \"\"
  strictARP: false
  syncPeriod: 0s
  tcpFinTimeout: 0s
  tcpTimeout: 0s
  udpTimeout: 0s
kind: KubeProxyConfiguration
logging:
  flushFrequency: 0
  options:
    json:
      infoBufferSize: \"0\"
    text:
      infoBufferSize: \"0\"
  verbosity: 0
metricsBindAddress: \"\"
mode: \"\"
nftables:
  masqueradeAll: false
  masqueradeBit: null
  minSyncPeriod: 0s
  syncPeriod: 0s
nodePortAddresses: null
oomScoreAdj: null
portRange: \"\"
showHiddenMetricsForVersion: \"\"
windowsRunAsService: false
winkernel:
  enableDSR: false
  forwardHealthCheckVip: false
  networkName: \"\"
  rootHnsEndpointName: \"\"
  sourceVip: \"\"
";

const HEAD: &str = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n";

#[track_caller]
fn document(body: &str) -> Document {
    parse(&format!("{HEAD}{body}")).unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
fn refused(body: &str) -> String {
    parse(&format!("{HEAD}{body}")).expect_err(body).to_string()
}

#[test]
fn what_kubeadm_writes_says_where_the_api_and_the_pods_are_and_nothing_else() {
    let document = parse(KUBEADM).expect("a document");
    let flags = [
        ("kubeconfig", "/var/lib/kube-proxy/kubeconfig.conf".to_owned()),
        ("cluster-cidr", "10.244.0.0/16".to_owned()),
    ];
    assert_eq!(document.flags, flags);
    assert_eq!(document.ignored, []);
}

#[test]
fn what_has_a_meaning_becomes_a_flag() {
    let body = "\
mode: nftables
hostnameOverride: Node-1
nodePortAddresses: [192.168.0.0/16, fd00::/64]
oomScoreAdj: -999
conntrack: {maxPerCore: 0, min: 1000, tcpEstablishedTimeout: 24h0m0s, tcpBeLiberal: true, udpTimeout: 30s}
nftables: {masqueradeAll: true, minSyncPeriod: 1s}
";
    let expected = [
        ("conntrack-max-per-core", "0"),
        ("conntrack-min", "1000"),
        ("conntrack-tcp-be-liberal", "true"),
        ("conntrack-tcp-timeout-established", "24h0m0s"),
        ("conntrack-udp-timeout", "30s"),
        ("masquerade", "always"),
        ("min-sync-period", "1s"),
        ("node-name", "Node-1"),
        ("nodeport-addresses", "192.168.0.0/16,fd00::/64"),
        ("oom-score-adj", "-999"),
    ];
    let mut flags = document(body).flags;
    flags.sort();
    assert_eq!(flags, expected.map(|(flag, value)| (flag, value.to_owned())));
}

#[test]
fn cfg_dl_the_mode_that_tells_pods_is_taken_with_its_devices() {
    let flags = |mode| document(&format!("detectLocalMode: {mode}")).flags;
    for mode in ["ClusterCIDR", "NodeCIDR", "BridgeInterface", "InterfaceNamePrefix"] {
        assert_eq!(flags(mode), [("detect-local-mode", mode.to_owned())]);
    }
    let devices = document("detectLocal: {bridgeInterface: cni0, interfaceNamePrefix: cali}").flags;
    let expected = [("pod-bridge-interface", "cni0"), ("pod-interface-name-prefix", "cali")];
    assert_eq!(devices, expected.map(|(flag, value)| (flag, value.to_owned())));
}

#[test]
fn in_the_mode_of_nftables_node_ports_are_those_of_the_primary_addresses_np_02() {
    let addresses = |body: &str| document(body).flags;
    let primary = |which: &str| vec![("nodeport-addresses", which.to_owned())];
    assert_eq!(addresses("mode: nftables"), primary("primary"));
    assert_eq!(addresses("mode: nftables\nnodePortAddresses: []"), primary("primary"));
    assert_eq!(addresses("mode: nftables\nnodePortAddresses: [0.0.0.0/0]"), primary("0.0.0.0/0"));
    assert_eq!(addresses("mode: ipvs"), []);
}

#[test]
fn an_address_of_the_node_is_taken_and_a_wildcard_says_nothing_nod_03() {
    let flags = |address: &str| document(&format!("bindAddress: {address:?}")).flags;
    assert_eq!(flags("192.0.2.1"), [("bind-address", "192.0.2.1".to_owned())]);
    assert_eq!((flags("0.0.0.0"), flags("::")), (vec![], vec![]));
}

#[test]
fn what_has_no_meaning_is_named_with_the_reason() {
    let body = "\
mode: ipvs
ipvs: {scheduler: lc}
iptables: {masqueradeAll: true}
featureGates: {TopologyAwareHints: true}
clientConnection: {qps: 5, brust: 10}
colour: blue
";
    let named: Vec<_> =
        document(body).ignored.into_iter().map(|(field, why)| format!("{field}: {why}")).collect();
    let expected = [
        "mode: all is done in one way here, by eBPF; nftables is --nodeport-addresses primary where nobody says \
         otherwise",
        "ipvs.scheduler: there is no IPVS here",
        "iptables.masqueradeAll: the mode is ipvs",
        "featureGates: they are of kube-proxy's own code",
        "clientConnection.qps: requests are few, and not limited",
        "clientConnection.brust: there is no such field",
        "colour: there is no such field",
    ];
    let sorted = |mut all: Vec<String>| {
        all.sort();
        all
    };
    assert_eq!(sorted(named), sorted(expected.map(str::to_owned).to_vec()));
}

#[test]
fn nonsense_is_refused_with_its_field() {
    for (body, expected) in [
        ("conntrack: {min: -1}", "conntrack.min: -1 is not a whole number from 0 to 2147483647"),
        (
            "conntrack: {udpTimeout: soon}",
            "conntrack.udpTimeout: \"soon\" is not a duration such as 1h30m, 0 or longer",
        ),
        (
            "conntrack: {udpTimeout: -1s}",
            "conntrack.udpTimeout: \"-1s\" is not a duration such as 1h30m, 0 or longer",
        ),
        ("conntrack: 5", "conntrack: 5 is not an object"),
        (
            "clusterCIDR: 10.244.0.0",
            "clusterCIDR: \"10.244.0.0\" is not one network, or one of each family with a comma between",
        ),
        (
            "clusterCIDR: 10.0.0.0/16,10.1.0.0/16",
            "clusterCIDR: \"10.0.0.0/16,10.1.0.0/16\" is not one network, or one of each family with a comma between",
        ),
        ("bindAddress: everywhere", "bindAddress: \"everywhere\" is not an IP address"),
        (
            "nodePortAddresses: [primary, 10.0.0.0/8]",
            "nodePortAddresses: [\"primary\",\"10.0.0.0/8\"] is not a list of networks such as 192.168.0.0/16, or [primary]",
        ),
        ("oomScoreAdj: 1001", "oomScoreAdj: 1001 is not a whole number from -1000 to 1000"),
        ("mode: userspace", "mode: \"userspace\" is not iptables, ipvs or nftables"),
        ("iptables: {masqueradeBit: 32}", "iptables.masqueradeBit: 32 is not a bit from 0 to 31"),
    ] {
        assert_eq!(refused(body), expected);
    }
}

#[test]
fn another_kind_is_refused() {
    let error = parse("apiVersion: v1\nkind: ConfigMap\n").expect_err("another kind").to_string();
    assert!(error.starts_with("it is ConfigMap of v1, not KubeProxyConfiguration"), "{error}");
    assert!(parse("[").expect_err("no YAML").to_string().starts_with("it is not YAML"));
}

#[test]
fn every_field_is_there_once() {
    for field in FIELDS {
        assert_eq!(FIELDS.iter().filter(|other| other.path == field.path).count(), 1, "{}", field.path);
        assert!(!fields::is_above_a_field(field.path), "{}", field.path);
    }
}

proptest! {
    #[test]
    fn any_text_is_taken_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _any = parse(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn a_file_mangled_anywhere_is_taken_without_a_panic(
        at in prop::collection::vec((any::<prop::sample::Index>(), any::<char>()), 1..8), cut: prop::sample::Index,
    ) {
        let mut text: Vec<char> = KUBEADM.chars().collect();
        for (index, char) in at {
            let at = index.index(text.len());
            text[at] = char;
        }
        text.truncate(cut.index(text.len() + 1).max(100));
        let _any = parse(&text.into_iter().collect::<String>());
    }
}
