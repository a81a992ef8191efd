//! kube-proxy's flags that Shunt has under another name, or not at all: a command line of kube-proxy's is understood
//! as it is.

/// What a flag means here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlagMeaning {
    /// What the flag of this long name means.
    Same(&'static str),
    /// The same in this mode; nothing in another.
    InMode(&'static str, &'static str),
    /// Where the value is true: what a flag with a value means.
    IfTrue(&'static str, &'static str),
    /// The port of every address, for the flag of this name; 0 is none.
    Port(&'static str),
    /// Nothing, for this reason.
    Nothing(&'static str),
    /// It is another command.
    Refused(&'static str),
}

/// A flag.
#[derive(Debug, Clone, Copy)]
pub struct KubeProxyFlag {
    /// Its long name.
    pub name: &'static str,
    /// Whether it is true where it has no value.
    pub is_switch: bool,
    /// What it means here.
    pub meaning: FlagMeaning,
}

const fn same(name: &'static str, flag: &'static str) -> KubeProxyFlag {
    KubeProxyFlag { name, is_switch: false, meaning: FlagMeaning::Same(flag) }
}

const fn in_mode(name: &'static str, mode: &'static str, flag: &'static str) -> KubeProxyFlag {
    KubeProxyFlag { name, is_switch: false, meaning: FlagMeaning::InMode(mode, flag) }
}

const fn port(name: &'static str, flag: &'static str) -> KubeProxyFlag {
    KubeProxyFlag { name, is_switch: false, meaning: FlagMeaning::Port(flag) }
}

const fn value(name: &'static str, why: &'static str) -> KubeProxyFlag {
    KubeProxyFlag { name, is_switch: false, meaning: FlagMeaning::Nothing(why) }
}

const fn switch(name: &'static str, why: &'static str) -> KubeProxyFlag {
    KubeProxyFlag { name, is_switch: true, meaning: FlagMeaning::Nothing(why) }
}

const fn refused(name: &'static str, why: &'static str) -> KubeProxyFlag {
    KubeProxyFlag { name, is_switch: true, meaning: FlagMeaning::Refused(why) }
}

const NO_MARK: &str = "packets are not marked";
const ON_EVENT: &str = "changes are followed as they come";
const NO_IPVS: &str = "there is no IPVS here";
const NO_LIMIT: &str = "requests are few, and not limited";
const LOG: &str = "logs go to standard error; see --log";
const WINDOWS: &str = "this is Linux";

/// Those that are none of `shunt run` by their own names.
pub const FLAGS: &[KubeProxyFlag] = &[
    same("master", "api-server"),
    in_mode("iptables-min-sync-period", "iptables", "min-sync-period"),
    in_mode("ipvs-min-sync-period", "ipvs", "min-sync-period"),
    in_mode("nftables-min-sync-period", "nftables", "min-sync-period"),
    KubeProxyFlag {
        name: "masquerade-all",
        is_switch: true,
        meaning: FlagMeaning::IfTrue("masquerade", "always"),
    },
    port("healthz-port", "healthz-bind-address"),
    port("metrics-port", "metrics-bind-address"),
    refused("cleanup", "`shunt cleanup` takes out what Shunt made, `shunt takeover` what a kube-proxy left"),
    refused("version", "`shunt --version` tells it"),
    value("proxy-mode", "all is done in one way here, by eBPF"),
    value("config-sync-period", ON_EVENT),
    value("iptables-sync-period", ON_EVENT),
    value("iptables-masquerade-bit", NO_MARK),
    switch("iptables-localhost-nodeports", "node ports are served on loopback too"),
    value("nftables-sync-period", ON_EVENT),
    value("nftables-masquerade-bit", NO_MARK),
    value("ipvs-scheduler", NO_IPVS),
    value("ipvs-exclude-cidrs", NO_IPVS),
    switch("ipvs-strict-arp", NO_IPVS),
    value("ipvs-sync-period", ON_EVENT),
    value("ipvs-tcp-timeout", NO_IPVS),
    value("ipvs-tcpfin-timeout", NO_IPVS),
    value("ipvs-udp-timeout", NO_IPVS),
    switch("cleanup-ipvs", NO_IPVS),
    value("kube-api-qps", NO_LIMIT),
    value("kube-api-burst", NO_LIMIT),
    value("kube-api-content-type", "the API is spoken in JSON"),
    value("feature-gates", "they are of kube-proxy's own code"),
    switch("profiling", "there is no profiler inside"),
    value("show-hidden-metrics-for-version", "no metric is hidden"),
    value("proxy-port-range", "it has had no meaning since kube-proxy left user space"),
    value("udp-timeout", "it has had no meaning since kube-proxy left user space"),
    value("conntrack-max", "see --conntrack-max-per-core and --conntrack-min"),
    value("logging-format", LOG),
    value("log-flush-frequency", LOG),
    value("log-json-info-buffer-size", LOG),
    switch("log-json-split-stream", LOG),
    value("log-text-info-buffer-size", LOG),
    switch("log-text-split-stream", LOG),
    value("log-backtrace-at", LOG),
    value("log-dir", LOG),
    value("log-file", LOG),
    value("log-file-max-size", LOG),
    switch("logtostderr", LOG),
    switch("alsologtostderr", LOG),
    switch("add-dir-header", LOG),
    switch("one-output", LOG),
    switch("skip-headers", LOG),
    switch("skip-log-headers", LOG),
    value("stderrthreshold", LOG),
    value("vmodule", LOG),
    switch("enable-dsr", WINDOWS),
    switch("forward-healthcheck-vip", WINDOWS),
    value("network-name", WINDOWS),
    value("root-hnsendpoint-name", WINDOWS),
    value("source-vip", WINDOWS),
    switch("windows-service", WINDOWS),
];

/// What flags of kube-proxy's come to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Translated {
    /// Long names of Shunt's flags, each with its value.
    pub flags: Vec<(&'static str, String)>,
    /// What was given and does nothing here: the flag and why.
    pub ignored: Vec<(String, String)>,
}

/// What those that were given come to, in this mode of kube-proxy's. An empty value says nothing.
///
/// # Errors
///
/// One is another command here, or makes no sense.
pub fn translate(given: &[(&'static str, String)], mode: &str) -> Result<Translated, String> {
    let mut translated = Translated::default();
    for (name, value) in given.iter().filter(|(_, value)| !value.is_empty()) {
        let Some(flag) = FLAGS.iter().find(|flag| flag.name == *name) else { continue };
        let mut ignore = |why: String| translated.ignored.push((format!("--{name}"), why));
        match flag.meaning {
            FlagMeaning::InMode(of, _) if of != mode => ignore(format!("the mode is {mode}")),
            FlagMeaning::Same(flag) | FlagMeaning::InMode(_, flag) => {
                translated.flags.push((flag, value.clone()));
            }
            FlagMeaning::IfTrue(flag, said) if value == "true" => {
                translated.flags.push((flag, said.to_owned()));
            }
            FlagMeaning::IfTrue(..) => {}
            FlagMeaning::Port(flag) => {
                let port: u16 = value.parse().map_err(|_| format!("--{name} {value}: not a port"))?;
                let address = if port == 0 { String::new() } else { format!("0.0.0.0:{port}") };
                translated.flags.push((flag, address));
            }
            FlagMeaning::Nothing(why) => ignore(why.to_owned()),
            FlagMeaning::Refused(why) if value != "false" => return Err(format!("--{name}: {why}")),
            FlagMeaning::Refused(_) => {}
        }
    }
    Ok(translated)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn translated(given: &[(&'static str, &str)], mode: &str) -> (Vec<String>, Vec<String>) {
        let given: Vec<_> = given.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let Translated { flags, ignored } = translate(&given, mode).unwrap_or_else(|why| panic!("{why}"));
        let flags = flags.iter().map(|(flag, value)| format!("--{flag}={value}"));
        (flags.collect(), ignored.into_iter().map(|(flag, why)| format!("{flag}: {why}")).collect())
    }

    #[test]
    fn of_the_periods_of_three_modes_that_of_the_mode_counts() {
        let given = [("iptables-min-sync-period", "1s"), ("ipvs-min-sync-period", "2s")];
        let (flags, ignored) = translated(&given, "ipvs");
        assert_eq!(flags, ["--min-sync-period=2s"]);
        assert_eq!(ignored, ["--iptables-min-sync-period: the mode is ipvs"]);
    }

    #[test]
    fn what_has_another_name_here_is_that() {
        let given = [
            ("master", "https://192.0.2.1:6443"),
            ("masquerade-all", "true"),
            ("healthz-port", "0"),
            ("metrics-port", "9000"),
            ("feature-gates", ""),
        ];
        let expected = [
            "--api-server=https://192.0.2.1:6443",
            "--masquerade=always",
            "--healthz-bind-address=",
            "--metrics-bind-address=0.0.0.0:9000",
        ];
        assert_eq!(translated(&given, "iptables"), (expected.map(str::to_owned).to_vec(), vec![]));
    }

    #[test]
    fn what_is_another_command_is_refused_with_its_name() {
        let why = translate(&[("cleanup", "true".to_owned())], "iptables").expect_err("another command");
        assert!(why.starts_with("--cleanup: `shunt cleanup` takes out"), "{why}");
        assert_eq!(translated(&[("cleanup", "false")], "iptables"), (vec![], vec![]));
        assert!(translate(&[("healthz-port", "many".to_owned())], "iptables").is_err());
    }

    #[test]
    fn every_flag_is_there_once() {
        for flag in FLAGS {
            assert_eq!(FLAGS.iter().filter(|other| other.name == flag.name).count(), 1, "{}", flag.name);
        }
    }
}
