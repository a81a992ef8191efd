//! A directory of manifests, taken as an API server holds them: EndpointSlices and `status.loadBalancer` as
//! given, nothing allocated, no endpoint derived.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, Pod};
use lb_common::Proto;

use crate::model::{Change, ObjectName, World};
use crate::source::manifest::{Files, Found, Manifest, ObjectId, found};
use crate::source::{ObjectRef, Problem, translate};

/// What a directory holds.
#[derive(Debug, Default)]
pub(super) struct Manifests {
    pub(super) world: World,
    pub(super) pods: Pods,
    /// By name.
    pub(super) nodes: BTreeMap<String, Node>,
    /// What could not be read, or not be taken as it stands.
    pub(super) problems: Vec<Problem>,
}

/// The declared container ports of every pod.
pub(super) type Pods = BTreeMap<ObjectName, Vec<ContainerPort>>;

/// One of `spec.containers[].ports` of a Pod: a note to the reader, for a port is open whether it is
/// declared or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ContainerPort {
    pub(super) container: String,
    pub(super) port: u16,
    pub(super) protocol: Proto,
}

/// What the files of a directory hold.
pub(super) fn read(files: &Files) -> Manifests {
    let (objects, problems) = found(files);
    let mut manifests = Manifests { problems, ..Manifests::default() };
    for object in objects {
        manifests.take(object);
    }
    manifests
}

impl Manifests {
    fn take(&mut self, Found { file, id, manifest }: Found) {
        let (change, ignored) = match manifest {
            Manifest::Service(service) => match translate::service(&service) {
                Ok(translation) => (Change::Service(Box::new(translation.value)), translation.ignored),
                Err(skipped) => return self.skip(&file, &id, &skipped),
            },
            Manifest::EndpointSlice(slice) => match translate::endpoint_slice(&slice) {
                Ok(translation) => (Change::Slice(Box::new(translation.value)), translation.ignored),
                Err(skipped) => return self.skip(&file, &id, &skipped),
            },
            Manifest::Pod(pod) => {
                self.pods.insert(id.name, container_ports(&pod));
                return;
            }
            Manifest::Node(node) => {
                self.nodes.insert(id.name.name.clone(), *node);
                return;
            }
        };
        self.problems.extend(ignored.into_iter().map(|ignored| Problem {
            object: Some(ObjectRef::from(&id)),
            field: Some(ignored.field),
            ..Problem::of_file(&file, ignored.message)
        }));
        self.world.apply(change);
    }

    /// What is another's on purpose needs no word.
    fn skip(&mut self, file: &str, id: &ObjectId, skipped: &translate::Skipped) {
        if skipped.is_surprising() {
            self.problems.push(Problem {
                object: Some(ObjectRef::from(id)),
                ..Problem::of_file(file, skipped.to_string())
            });
        }
    }
}

fn container_ports(pod: &Pod) -> Vec<ContainerPort> {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    containers
        .flat_map(|container| {
            container.ports.iter().flatten().filter_map(|port| {
                Some(ContainerPort {
                    container: container.name.clone(),
                    port: u16::try_from(port.container_port).ok()?,
                    protocol: port.protocol.as_deref().unwrap_or("TCP").parse().ok()?,
                })
            })
        })
        .collect()
}
