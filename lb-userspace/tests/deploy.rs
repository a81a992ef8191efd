//! `deploy/` is what the API server understands and what the binary needs: no field that a kind doesn't have, no
//! flag or variable that the binary doesn't, no right that it doesn't use; the chart says the same as the
//! manifests.
#![expect(clippy::unwrap_used, reason = "a file that can't be read fails the test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{ConfigMap, Container, PodSpec, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use lb_userspace::cli::Cli;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The kinds that there are, by their files.
const FILES: [&str; 5] = [
    "service-account.yaml",
    "cluster-role.yaml",
    "cluster-role-binding.yaml",
    "config-map.yaml",
    "daemon-set.yaml",
];

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("deploy")
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn read(file: &str) -> Value {
    yaml(&fs::read_to_string(deploy().join(file)).unwrap())
}

fn base() -> BTreeMap<&'static str, Value> {
    FILES.map(|file| (file, read(&format!("base/{file}")))).into()
}

/// With the patch of `least-capabilities`, all of whose operations replace a value.
fn least_capabilities() -> Value {
    patched("least-capabilities/security-context.yaml")
}

fn patched(patch: &str) -> Value {
    let mut set = read("base/daemon-set.yaml");
    for operation in read(patch).as_array().unwrap() {
        assert_eq!(operation["op"], "replace");
        *set.pointer_mut(operation["path"].as_str().unwrap()).unwrap() = operation["value"].clone();
    }
    set
}

/// The chart with its own values.
///
/// `helm` is not where these tests run, so the chart has no more of a template's language than this: a value,
/// a value as YAML, and a value that is left out when it is empty.
fn chart() -> BTreeMap<&'static str, Value> {
    let values = read("helm/shunt/values.yaml");
    let render = |file: &str| {
        let text = fs::read_to_string(deploy().join("helm/shunt/templates").join(file)).unwrap();
        yaml(&text.lines().filter_map(|line| render(line, &values)).collect::<Vec<_>>().join("\n"))
    };
    FILES.map(|file| (file, render(file))).into()
}

fn render(line: &str, values: &Value) -> Option<String> {
    let Some((before, rest)) = line.split_once("{{") else { return Some(line.to_owned()) };
    let (inside, after) = rest.split_once("}}").unwrap();
    let words: Vec<&str> = inside.trim_start_matches('-').split_whitespace().collect();
    let value = |path: &str| {
        let path = path.strip_prefix(".Values.").unwrap_or_else(|| panic!("{line}"));
        values.get(path).unwrap_or_else(|| panic!("no value {path}"))
    };
    match words[..] {
        [".Release.Namespace"] => Some(format!("{before}kube-system{after}")),
        [path] if path.starts_with(".Values.") => {
            let value = value(path);
            assert!(value.is_string() || value.is_number(), "{line}");
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            Some(format!("{before}{text}{after}"))
        }
        // JSON is YAML, and needs no indentation but that of its first line.
        ["toYaml", path, "|", "nindent", indent] if path.starts_with(".Values.") => {
            Some(format!("{}{}", " ".repeat(indent.parse().unwrap()), value(path)))
        }
        // Further variables are none by default.
        ["with", ".Values.env"] => {
            assert_eq!(*value(".Values.env"), json!([]));
            None
        }
        ["toYaml", ".", "|", "nindent", _] | ["end"] => None,
        _ => panic!("the chart has a template that is not understood here: {line}"),
    }
}

/// As the API server takes it: a field that the kind does not have is an error, and one that is lacking shows by the
/// empty one that is written in its place.
#[track_caller]
fn strictly<T: DeserializeOwned + Serialize>(value: &Value) -> T {
    let mut unknown = Vec::new();
    let typed = serde_ignored::deserialize(value, |path| unknown.push(path.to_string()));
    assert_eq!(unknown, Vec::<String>::new());
    let typed: T = typed.unwrap_or_else(|error| panic!("{error}: {value}"));
    assert_eq!(serde_json::to_value(&typed).unwrap(), *value);
    typed
}

/// Fields that have one of a few words, by the field above them where the name alone does not tell.
const WORDS: [(&str, &str, &[&str]); 9] = [
    ("", "imagePullPolicy", &["Always", "IfNotPresent", "Never"]),
    ("", "dnsPolicy", &["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"]),
    ("", "mountPropagation", &["None", "HostToContainer", "Bidirectional"]),
    ("", "operator", &["Exists", "Equal"]),
    ("", "protocol", &["TCP", "UDP", "SCTP"]),
    ("updateStrategy", "type", &["RollingUpdate", "OnDelete"]),
    ("hostPath", "type", &["", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"]),
    ("appArmorProfile", "type", &["Unconfined", "RuntimeDefault", "Localhost"]),
    ("seccompProfile", "type", &["Unconfined", "RuntimeDefault", "Localhost"]),
];

/// What the API server refuses of a DaemonSet besides fields.
#[track_caller]
fn validly(set: &Value) {
    check_words("", set);
    let labels = set["spec"]["template"]["metadata"]["labels"].as_object().unwrap();
    let selector = set["spec"]["selector"]["matchLabels"].as_object().unwrap();
    assert!(!selector.is_empty() && selector.iter().all(|(label, value)| labels.get(label) == Some(value)));
    let container = container(set);
    let is_privileged = container.security_context.as_ref().unwrap().privileged == Some(true);
    let mounts = container.volume_mounts.iter().flatten();
    let is_shared =
        mounts.into_iter().any(|mount| mount.mount_propagation.as_deref() == Some("Bidirectional"));
    assert!(is_privileged || !is_shared, "Bidirectional takes a privileged container");
    let ports: Vec<_> = container.ports.iter().flatten().collect();
    let on_host = pod(set).host_network == Some(true);
    assert!(ports.iter().all(|port| !on_host || port.host_port == Some(port.container_port)));
    let resources = container.resources.unwrap();
    for (name, quantity) in [resources.requests, resources.limits].into_iter().flatten().flatten() {
        assert!(is_quantity(&quantity.0), "{name}: {}", quantity.0);
    }
}

#[track_caller]
fn check_words(above: &str, value: &Value) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| check_words(above, item)),
        Value::Object(fields) => {
            for (name, value) in fields {
                let known = WORDS.iter().find(|(of, field, _)| field == name && ["", above].contains(of));
                if let Some((_, _, words)) = known {
                    assert!(words.contains(&value.as_str().unwrap()), "{above}.{name}: {value}");
                }
                check_words(name, value);
            }
        }
        _ => {}
    }
}

/// A decimal number with one of Kubernetes' suffixes.
fn is_quantity(text: &str) -> bool {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let suffixes = ["", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    digits.parse::<f64>().is_ok() && suffixes.contains(&&text[digits.len()..])
}

fn pod(set: &Value) -> PodSpec {
    strictly::<DaemonSet>(set).spec.unwrap().template.spec.unwrap()
}

fn container(set: &Value) -> Container {
    let containers = pod(set).containers;
    let [container] = <[Container; 1]>::try_from(containers).unwrap();
    container
}

#[test]
fn manifests_and_chart_have_no_field_that_the_api_server_would_refuse() {
    for objects in [base(), chart()] {
        strictly::<ServiceAccount>(&objects["service-account.yaml"]);
        strictly::<ClusterRole>(&objects["cluster-role.yaml"]);
        strictly::<ClusterRoleBinding>(&objects["cluster-role-binding.yaml"]);
        strictly::<ConfigMap>(&objects["config-map.yaml"]);
        strictly::<DaemonSet>(&objects["daemon-set.yaml"]);
    }
    strictly::<DaemonSet>(&least_capabilities());
}

#[test]
fn every_daemon_set_is_one_that_the_api_server_would_take() {
    let sets = [
        base().remove("daemon-set.yaml").unwrap(),
        chart().remove("daemon-set.yaml").unwrap(),
        least_capabilities(),
        patched("kube-proxy-config/volume.yaml"),
    ];
    sets.iter().for_each(validly);
}

#[test]
fn a_daemon_set_that_the_api_server_would_refuse_is_refused_here() {
    let refused = |pointer: &str, value: Value| {
        let mut set = base().remove("daemon-set.yaml").unwrap();
        *set.pointer_mut(pointer).unwrap() = value;
        std::panic::catch_unwind(|| {
            strictly::<DaemonSet>(&set);
            validly(&set);
        })
        .is_err()
    };
    let container = "/spec/template/spec/containers/0";
    assert!(!refused("/metadata/name", json!("another")));
    assert!(refused("/spec/selector/matchLabels/app.kubernetes.io~1name", json!("another")));
    assert!(refused("/spec/selector", json!(null)));
    assert!(refused(&format!("{container}/imagePullPolicy"), json!("Sometimes")));
    assert!(refused(&format!("{container}/securityContext/privileged"), json!(false)));
    assert!(refused(&format!("{container}/resources/requests/memory"), json!("64 MB")));
    assert!(refused(&format!("{container}/name"), json!(null)));
}

#[test]
fn the_image_is_the_one_that_is_built_of_this_version() {
    let image = format!("shunt:{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(container(&base()["daemon-set.yaml"]).image, Some(image));
    let chart = read("helm/shunt/Chart.yaml");
    assert_eq!(chart["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn the_probes_ask_the_port_that_is_listened_on_whichever_it_is() {
    let text = fs::read_to_string(deploy().join("helm/shunt/templates/daemon-set.yaml")).unwrap();
    assert!(!text.contains("10256"), "the chart has the port from its values alone");
    let container = container(&chart()["daemon-set.yaml"]);
    let listens = container.env.iter().flatten().find(|one| one.name == "SHUNT_HEALTHZ_BIND_ADDRESS");
    let port = read("helm/shunt/values.yaml")["healthzPort"].to_string();
    assert_eq!(listens.and_then(|one| one.value.clone()), Some(format!("0.0.0.0:{port}")));
    assert_eq!(container.ports.unwrap()[0].container_port.to_string(), port);
}

#[test]
fn the_chart_says_what_the_manifests_say() {
    let (base, chart) = (base(), chart());
    for file in FILES {
        assert_eq!(chart[file], base[file], "{file}");
    }
}

#[test]
fn kustomize_knows_every_manifest() {
    assert_eq!(read("base/kustomization.yaml")["resources"], json!(FILES));
    let overlay = read("least-capabilities/kustomization.yaml");
    assert_eq!(overlay["resources"], json!(["../base"]));
    assert_eq!(overlay["patches"][0]["path"], "security-context.yaml");
    let overlay = read("kube-proxy-config/kustomization.yaml");
    assert_eq!(overlay["resources"], json!(["../base"]));
    assert_eq!(overlay["patches"][0]["path"], "volume.yaml");
    let volumes = pod(&patched("kube-proxy-config/volume.yaml")).volumes.unwrap();
    let config = volumes.into_iter().find(|volume| volume.name == "config").unwrap();
    assert_eq!(config.config_map.unwrap().name, "kube-proxy");
}

#[test]
fn the_binary_understands_its_arguments_and_variables() {
    let container = container(&base()["daemon-set.yaml"]);
    let line = ["shunt".to_owned()].into_iter().chain(container.args.unwrap());
    // Without a cluster or a directory it would not begin; which of the two is not a matter of flags.
    let matches = Cli::command().try_get_matches_from(line.chain(["--manifests".into(), "dir".into()]));
    matches.unwrap_or_else(|error| panic!("{error}"));
    let command = Cli::command();
    let run = command.find_subcommand("run").unwrap();
    for variable in container.env.unwrap() {
        let known = run.get_arguments().any(|arg| arg.get_env() == Some(variable.name.as_ref()));
        // `--api-server` comes with the cluster's source.
        assert!(known || variable.name == "SHUNT_API_SERVER", "{}", variable.name);
    }
}

#[test]
fn the_configuration_is_one_that_is_understood() {
    let map: ConfigMap = strictly(&base()["config-map.yaml"]);
    let document = lb_userspace::config::parse(&map.data.unwrap()["config.conf"]).unwrap();
    assert_eq!(document, lb_userspace::config::Document::default());
}

#[test]
fn the_role_is_exactly_what_is_used() {
    let role: ClusterRole = strictly(&base()["cluster-role.yaml"]);
    let mut rights = Vec::new();
    for rule in role.rules.unwrap() {
        for (group, resource) in rule
            .api_groups
            .iter()
            .flatten()
            .flat_map(|group| rule.resources.iter().flatten().map(move |one| (group, one)))
        {
            rights.extend(rule.verbs.iter().map(|verb| format!("{verb} {resource}.{group}")));
        }
    }
    rights.sort();
    // RBAC-01, less `get` of nodes and the legacy Endpoints, which are not read.
    let expected = [
        "create events.events.k8s.io",
        "list endpointslices.discovery.k8s.io",
        "list nodes.",
        "list servicecidrs.networking.k8s.io",
        "list services.",
        "patch events.events.k8s.io",
        "watch endpointslices.discovery.k8s.io",
        "watch nodes.",
        "watch servicecidrs.networking.k8s.io",
        "watch services.",
    ];
    assert_eq!(rights, expected);
    let binding: ClusterRoleBinding = strictly(&base()["cluster-role-binding.yaml"]);
    assert_eq!(binding.role_ref.name, role.metadata.name.unwrap());
    let subject = &binding.subjects.unwrap()[0];
    let account: ServiceAccount = strictly(&base()["service-account.yaml"]);
    assert_eq!(Some(&subject.name), account.metadata.name.as_ref());
    assert_eq!(subject.namespace, account.metadata.namespace);
}

#[test]
fn the_pod_has_what_the_datapath_needs_of_the_node() {
    for set in [base().remove("daemon-set.yaml").unwrap(), least_capabilities()] {
        let (pod, container) = (pod(&set), container(&set));
        assert_eq!((pod.host_network, pod.host_pid), (Some(true), Some(true)));
        assert_eq!(pod.priority_class_name.as_deref(), Some("system-node-critical"));
        assert_eq!(pod.tolerations.unwrap()[0].operator.as_deref(), Some("Exists"));
        let mounts = container.volume_mounts.unwrap();
        let is_mounted =
            |path: &str| mounts.iter().any(|mount| Path::new(path).starts_with(&mount.mount_path));
        let variables: BTreeMap<_, _> =
            container.env.unwrap().into_iter().map(|one| (one.name, one.value)).collect();
        for name in ["SHUNT_CGROUP", "SHUNT_PIN_DIR"] {
            assert!(is_mounted(variables[name].as_deref().unwrap()), "{name}");
        }
        assert!(is_mounted("/run/shunt") && is_mounted("/var/lib/kube-proxy/config.conf"));
        for mount in &mounts {
            let volume = pod.volumes.iter().flatten().find(|volume| volume.name == mount.name);
            assert!(volume.is_some(), "{}", mount.name);
        }
        for (probe, path) in [
            (container.startup_probe, "/livez"),
            (container.liveness_probe, "/livez"),
            (container.readiness_probe, "/healthz"),
        ] {
            let get = probe.unwrap().http_get.unwrap();
            assert_eq!((get.path.as_deref(), get.port), (Some(path), IntOrString::String("healthz".into())));
        }
        let ports = container.ports.unwrap();
        assert!(ports.iter().any(|port| port.name.as_deref() == Some("healthz")));
    }
}

#[test]
fn the_variant_of_least_capabilities_is_not_privileged_and_says_what_each_is_for() {
    let context = container(&least_capabilities()).security_context.unwrap();
    assert_eq!(context.privileged, Some(false));
    let capabilities = context.capabilities.unwrap();
    assert_eq!(capabilities.drop, Some(vec!["ALL".to_owned()]));
    let page = fs::read_to_string(deploy().parent().unwrap().join("docs/deploying.md")).unwrap();
    for capability in capabilities.add.unwrap() {
        assert!(
            page.contains(&format!("| `{capability}` |")),
            "docs/deploying.md does not say why {capability}"
        );
    }
}
