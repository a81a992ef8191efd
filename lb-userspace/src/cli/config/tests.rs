//! Command lines of `shunt run` with a file and with flags of kube-proxy's.

use clap::CommandFactory;

use super::*;
use crate::cli::Cli;

/// All that `kube-proxy --help` has, of Kubernetes 1.27 to 1.35, and what it had before that starts nodes still.
const KUBE_PROXY: &str = "\
    add-dir-header alsologtostderr bind-address bind-address-hard-fail cleanup cleanup-ipvs cluster-cidr config \
    config-sync-period conntrack-max conntrack-max-per-core conntrack-min conntrack-tcp-be-liberal \
    conntrack-tcp-timeout-close-wait conntrack-tcp-timeout-established conntrack-udp-timeout \
    conntrack-udp-timeout-stream detect-local-mode enable-dsr feature-gates forward-healthcheck-vip \
    healthz-bind-address healthz-port help hostname-override init-only iptables-localhost-nodeports \
    iptables-masquerade-bit iptables-min-sync-period iptables-sync-period ipvs-exclude-cidrs \
    ipvs-min-sync-period ipvs-scheduler ipvs-strict-arp ipvs-sync-period ipvs-tcp-timeout ipvs-tcpfin-timeout \
    ipvs-udp-timeout kube-api-burst kube-api-content-type kube-api-qps kubeconfig log-backtrace-at log-dir \
    log-file log-file-max-size log-flush-frequency log-json-info-buffer-size log-json-split-stream \
    log-text-info-buffer-size log-text-split-stream logging-format logtostderr masquerade-all master \
    metrics-bind-address metrics-port network-name nodeport-addresses one-output oom-score-adj \
    pod-bridge-interface pod-interface-name-prefix profiling proxy-mode proxy-port-range \
    root-hnsendpoint-name show-hidden-metrics-for-version skip-headers skip-log-headers source-vip \
    stderrthreshold udp-timeout v version vmodule windows-service write-config-to";

fn file(body: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let head = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n";
    std::fs::write(file.path(), format!("{head}{body}")).expect("written");
    file
}

fn started(arguments: &[&str]) -> anyhow::Result<(ArgMatches, Started)> {
    let line = ["shunt", "run"].iter().chain(arguments).map(OsString::from).collect();
    let (mut found, started) = matches(&complete(Cli::command()), line)?;
    Ok((found.remove_subcommand().expect("a subcommand").1, started))
}

fn run(path: &Path, arguments: &[&str]) -> anyhow::Result<ArgMatches> {
    let first = ["--manifests", "dir", "--config", path.to_str().expect("a path")];
    Ok(started(&[&first, arguments].concat())?.0)
}

fn raw(matches: &ArgMatches, id: &str) -> Vec<String> {
    let values = matches.get_raw(id).into_iter().flatten();
    values.map(|value| value.to_string_lossy().into_owned()).collect()
}

#[test]
fn the_command_line_is_sound() {
    complete(Cli::command()).debug_assert();
}

#[test]
fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
    let file =
        file("conntrack: {min: 1000, maxPerCore: 7, tcpBeLiberal: true}\nclusterCIDR: 10.244.0.0/16\n");
    let found = run(file.path(), &["--conntrack-min", "5"]).expect("a command line");
    assert_eq!(found.get_one::<u32>("conntrack_min"), Some(&5));
    assert_eq!(found.get_one::<u32>("conntrack_max_per_core"), Some(&7));
    assert!(found.get_flag("conntrack_tcp_be_liberal"));
    assert_eq!(raw(&found, "cluster_cidr"), ["10.244.0.0/16"]);
    assert_eq!(raw(&found, "conntrack_tcp_timeout_close_wait"), ["1h"]);
}

#[test]
fn a_switch_that_the_file_turns_on_is_turned_off_by_the_flag() {
    let file = file("conntrack: {tcpBeLiberal: true}\n");
    let is_on = |arguments: &[&str]| {
        run(file.path(), arguments).expect("a command line").get_flag("conntrack_tcp_be_liberal")
    };
    assert!(is_on(&[]));
    assert!(is_on(&["--conntrack-tcp-be-liberal"]));
    assert!(!is_on(&["--conntrack-tcp-be-liberal=false"]));
    assert!(run(file.path(), &["--conntrack-tcp-be-liberal=perhaps"]).is_err());
}

#[test]
fn every_flag_that_a_field_becomes_is_there() {
    let run = Cli::command();
    let run = run.find_subcommand(SUBCOMMAND).expect("run");
    let of_fields = config::FIELDS.iter().filter_map(|field| match field.meaning {
        config::Meaning::Flag(flag) | config::Meaning::FlagIf(_, flag, _) => Some(flag),
        _ => None,
    });
    let of_flags = config::FLAGS.iter().filter_map(|flag| match flag.meaning {
        config::FlagMeaning::Same(flag)
        | config::FlagMeaning::InMode(_, flag)
        | config::FlagMeaning::IfTrue(flag, _)
        | config::FlagMeaning::Port(flag) => Some(flag),
        _ => None,
    });
    let missing: Vec<_> = of_fields
        .chain(of_flags)
        .filter(|flag| !run.get_arguments().any(|arg| arg.get_long() == Some(*flag)))
        .collect();
    assert_eq!(missing, Vec::<&str>::new());
}

#[test]
fn every_flag_of_kube_proxys_is_understood() {
    let mut command = complete(Cli::command());
    command.build();
    let run = command.find_subcommand(SUBCOMMAND).expect("run");
    for flag in KUBE_PROXY.split_whitespace() {
        let is_named = |arg: &&Arg| {
            arg.get_long() == Some(flag) || arg.get_all_aliases().is_some_and(|all| all.contains(&flag))
        };
        assert!(run.get_arguments().any(|arg| is_named(&arg)), "--{flag}");
    }
    for flag in config::FLAGS.iter().map(|flag| flag.name) {
        let is_known = KUBE_PROXY.split_whitespace().any(|known| known == flag);
        // Of nftables' there are fields alone so far.
        assert!(is_known || flag.starts_with("nftables-"), "--{flag} is none of kube-proxy's");
    }
}

#[test]
fn a_command_line_as_kops_writes_it_is_understood_as_it_is() {
    let line = "--cluster-cidr=100.96.0.0/11 --conntrack-max-per-core=131072 --hostname-override=i-0123 \
                --kubeconfig=/var/lib/kube-proxy/kubeconfig --master=https://127.0.0.1 --oom-score-adj=-998 --v=2 \
                --logtostderr=false --alsologtostderr --log_file /var/log/kube-proxy.log \
                --feature-gates=A=true,B=false --masquerade-all --ipvs-min-sync-period=5s \
                --iptables-min-sync-period 1s";
    let arguments: Vec<&str> = line.split_whitespace().collect();
    let (found, started) = started(&arguments).unwrap_or_else(|error| panic!("{error:#}"));
    assert_eq!(raw(&found, "cluster_cidr"), ["100.96.0.0/11"]);
    assert_eq!(raw(&found, "node_name"), ["i-0123"]);
    assert_eq!(raw(&found, "api_servers"), ["https://127.0.0.1"]);
    assert_eq!(raw(&found, "oom_score_adj"), ["-998"]);
    assert_eq!(raw(&found, "masquerade"), ["always"]);
    assert_eq!(raw(&found, "min_sync_period"), ["1s"]);
    let ignored: Vec<&str> = started.ignored.iter().map(|(flag, _)| flag.as_str()).collect();
    let expected =
        ["--ipvs-min-sync-period", "--feature-gates", "--log-file", "--logtostderr", "--alsologtostderr"];
    assert_eq!(ignored, expected);
    let effective = started.effective();
    assert_eq!(effective["clusterCIDR"], "100.96.0.0/11");
    assert_eq!(effective["iptables"]["masqueradeAll"], true);
}

#[test]
fn a_flag_of_shunts_own_wins_over_one_of_kube_proxys() {
    let line = ["--manifests", "dir", "--masquerade-all", "--masquerade=remote"];
    assert_eq!(raw(&started(&line).expect("a command line").0, "masquerade"), ["remote"]);
}

#[test]
fn the_mode_of_nftables_is_the_primary_addresses_where_nobody_says_otherwise_np_02() {
    let addresses = |arguments: &[&str]| {
        let line = [&["--manifests", "dir", "--proxy-mode=nftables"], arguments].concat();
        raw(&started(&line).expect("a command line").0, "nodeport_addresses")
    };
    assert_eq!(addresses(&[]), ["primary"]);
    assert_eq!(addresses(&["--nodeport-addresses=all"]), ["all"]);
}

#[test]
fn a_kubeconfig_that_is_not_here_is_told_and_left_out_where_the_api_is_named() {
    let file = file("clientConnection: {kubeconfig: /var/lib/kube-proxy/kubeconfig.conf}\n");
    let config = ["--config", file.path().to_str().expect("a path")];
    let line = [&config[..], &["--api-server=https://192.0.2.1:6443"]].concat();
    let (found, told) = started(&line).expect("a command line");
    assert_eq!(raw(&found, "kubeconfig"), Vec::<String>::new());
    assert!(told.ignored[0].1.contains("/var/lib/kube-proxy/kubeconfig.conf"), "{told:?}");
}

#[tokio::test]
async fn a_file_that_changed_while_the_instance_started_has_changed_rst_05() {
    let file = file("clusterCIDR: 10.244.0.0/16\n");
    let line = ["--manifests", "dir", "--config", file.path().to_str().expect("a path")];
    let (_, started) = started(&line).expect("a command line");
    let text = std::fs::read_to_string(file.path()).expect("its text");
    std::fs::write(file.path(), text.replace("10.244", "10.245")).expect("written");
    assert!(started.changed().await.to_string().contains("has changed: start anew"));
}

#[test]
fn a_file_that_makes_no_sense_is_refused_by_its_name_and_field() {
    let file = file("conntrack: {min: many}\n");
    let error = format!("{:#}", run(file.path(), &[]).expect_err("nonsense"));
    assert!(error.contains(&file.path().display().to_string()), "{error}");
    assert!(error.contains("conntrack.min: \"many\" is not"), "{error}");
}
