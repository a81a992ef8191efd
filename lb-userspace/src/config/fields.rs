//! The fields of kube-proxy's configuration, and what each means here.

use std::net::IpAddr;

use serde_json::Value;

use super::check::{self, Checked};

/// What a field means here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// What the flag of this long name means.
    Flag(&'static str),
    /// Where the value is the first: what a flag with a value means.
    FlagIf(&'static str, &'static str, &'static str),
    /// Nothing, for this reason.
    Nothing(&'static str),
    /// What is done anyway where the value is the first, else nothing for this reason.
    NothingUnless(&'static str, &'static str),
}

/// A field.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// As in `conntrack.min`.
    pub path: &'static str,
    /// What it means here.
    pub meaning: Meaning,
    pub(super) check: fn(&Value) -> Checked,
}

const fn flag(path: &'static str, flag: &'static str, check: fn(&Value) -> Checked) -> Field {
    Field { path, meaning: Meaning::Flag(flag), check }
}

const fn nothing(path: &'static str, why: &'static str, check: fn(&Value) -> Checked) -> Field {
    Field { path, meaning: Meaning::Nothing(why), check }
}

const fn masquerade_all(path: &'static str) -> Field {
    Field { path, meaning: Meaning::FlagIf("true", "masquerade", "always"), check: check::truth }
}

const NO_MARK: &str = "packets are not marked";
const ON_EVENT: &str = "changes are followed as they come";
const NO_IPVS: &str = "there is no IPVS here";
const JSON: &str = "the API is spoken in JSON";
const NO_LIMIT: &str = "requests are few, and not limited";
const LOG: &str = "see --log";

/// Every field of v1alpha1, by sections as kubeadm writes them.
pub const FIELDS: &[Field] = &[
    nothing(
        "mode",
        "all is done in one way here, by eBPF; nftables is --nodeport-addresses primary where nobody says otherwise",
        check::proxy_mode,
    ),
    flag("bindAddress", "bind-address", bind_address),
    flag("bindAddressHardFail", "bind-address-hard-fail", check::truth),
    flag("healthzBindAddress", "healthz-bind-address", check::ip_port),
    flag("metricsBindAddress", "metrics-bind-address", check::ip_port),
    nothing("enableProfiling", "there is no profiler inside", check::truth),
    nothing("showHiddenMetricsForVersion", "no metric is hidden", check::text),
    flag("clientConnection.kubeconfig", "kubeconfig", check::text),
    nothing("clientConnection.acceptContentTypes", JSON, check::text),
    nothing("clientConnection.contentType", JSON, check::text),
    nothing("clientConnection.qps", NO_LIMIT, check::number),
    nothing("clientConnection.burst", NO_LIMIT, check::number),
    flag("hostnameOverride", "node-name", check::text),
    flag("clusterCIDR", "cluster-cidr", check::cluster_cidr),
    flag("detectLocalMode", "detect-local-mode", check::detect_local_mode),
    flag("detectLocal.bridgeInterface", "pod-bridge-interface", check::text),
    flag("detectLocal.interfaceNamePrefix", "pod-interface-name-prefix", check::text),
    flag("nodePortAddresses", "nodeport-addresses", check::node_port_addresses),
    flag("oomScoreAdj", "oom-score-adj", check::oom_score),
    flag("conntrack.maxPerCore", "conntrack-max-per-core", check::count),
    flag("conntrack.min", "conntrack-min", check::count),
    flag("conntrack.tcpEstablishedTimeout", "conntrack-tcp-timeout-established", check::duration_said),
    flag("conntrack.tcpCloseWaitTimeout", "conntrack-tcp-timeout-close-wait", check::duration_said),
    flag("conntrack.tcpBeLiberal", "conntrack-tcp-be-liberal", check::truth),
    flag("conntrack.udpTimeout", "conntrack-udp-timeout", check::duration),
    flag("conntrack.udpStreamTimeout", "conntrack-udp-timeout-stream", check::duration),
    nothing("configSyncPeriod", ON_EVENT, check::duration),
    nothing("iptables.masqueradeBit", NO_MARK, check::masquerade_bit),
    masquerade_all("iptables.masqueradeAll"),
    Field {
        path: "iptables.localhostNodePorts",
        meaning: Meaning::NothingUnless("true", "node ports are served on loopback too"),
        check: check::truth_said,
    },
    nothing("iptables.syncPeriod", ON_EVENT, check::duration),
    flag("iptables.minSyncPeriod", "min-sync-period", check::duration),
    nothing("nftables.masqueradeBit", NO_MARK, check::masquerade_bit),
    masquerade_all("nftables.masqueradeAll"),
    nothing("nftables.syncPeriod", ON_EVENT, check::duration),
    flag("nftables.minSyncPeriod", "min-sync-period", check::duration),
    nothing("ipvs.scheduler", NO_IPVS, check::text),
    nothing("ipvs.excludeCIDRs", NO_IPVS, check::texts),
    nothing("ipvs.strictARP", NO_IPVS, check::truth),
    nothing("ipvs.tcpTimeout", NO_IPVS, check::duration),
    nothing("ipvs.tcpFinTimeout", NO_IPVS, check::duration),
    nothing("ipvs.udpTimeout", NO_IPVS, check::duration),
    nothing("ipvs.syncPeriod", ON_EVENT, check::duration),
    flag("ipvs.minSyncPeriod", "min-sync-period", check::duration),
    nothing("featureGates", "they are of kube-proxy's own code", check::part),
    nothing("logging", LOG, logging),
    nothing("portRange", "it has had no meaning since kube-proxy left user space", check::text),
    nothing("windowsRunAsService", "this is Linux", check::truth),
    nothing("winkernel", "this is Linux", check::part),
];

/// Both wildcards say nothing.
fn bind_address(value: &Value) -> Checked {
    let is_one = |said: &String| said.parse::<IpAddr>().is_ok_and(|ip| !ip.is_unspecified());
    Ok(check::ip(value)?.filter(is_one))
}

/// What kubeadm writes of it says nothing.
fn logging(value: &Value) -> Checked {
    let mut value = value.clone();
    if let Some(fields) = value.as_object_mut() {
        fields.remove("flushFrequency");
        fields.remove("options");
        if fields.get("format").is_some_and(|format| format == "text") {
            fields.remove("format");
        }
    }
    check::part(&value)
}

/// Whether fields are below this one.
pub(super) fn is_above_a_field(path: &str) -> bool {
    FIELDS.iter().any(|field| field.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
}
