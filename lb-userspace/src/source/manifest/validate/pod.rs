//! Pods: only what endpoints are made from. A Pod of a manifest need not be one that could be run.

use k8s_openapi::api::core::v1::{Container, Pod};

use super::Faults;
use super::names::{Rule, is_port_name, is_subdomain};

pub(super) fn check(object: &Pod, faults: &mut Faults) {
    faults.check_metadata(&object.metadata, Rule::Subdomain);
    if let Some(spec) = &object.spec {
        if let Some(node) = spec.node_name.as_deref().filter(|node| !is_subdomain(node)) {
            faults.add("spec.nodeName", format!("{node:?} is not {}", Rule::Subdomain.description()));
        }
        check_containers("spec.containers", &spec.containers, faults);
        check_containers("spec.initContainers", spec.init_containers.as_deref().unwrap_or_default(), faults);
    }
    let Some(status) = &object.status else { return };
    let phases = ["Pending", "Running", "Succeeded", "Failed", "Unknown"];
    faults.check_one_of("status.phase", status.phase.as_deref(), &phases);
    if let Some(text) = status.pod_ip.as_deref().filter(|text| !text.is_empty()) {
        faults.check_reachable("status.podIP", text);
    }
    for (index, ip) in status.pod_ips.iter().flatten().enumerate() {
        faults.check_reachable(&format!("status.podIPs[{index}].ip"), &ip.ip);
    }
}

fn check_containers(list: &str, containers: &[Container], faults: &mut Faults) {
    for (index, container) in containers.iter().enumerate() {
        for (place, port) in container.ports.iter().flatten().enumerate() {
            let field = |name: &str| format!("{list}[{index}].ports[{place}].{name}");
            faults.check_port(&field("containerPort"), port.container_port);
            faults.check_protocol(&field("protocol"), port.protocol.as_deref());
            if let Some(name) = port.name.as_deref().filter(|name| !is_port_name(name)) {
                faults.add(
                    field("name"),
                    format!("{name:?} is not a port's name: lower-case letters, digits and '-', 15 at most"),
                );
            }
        }
    }
}
