//! What the demo must know of the manifests before it serves them: the Pods, for there is no kubelet that
//! would start them.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;

/// A Pod to be started.
pub(crate) struct Pod {
    pub(crate) name: String,
    pub(crate) node: String,
    pub(crate) ip: String,
    /// TCP ports of its containers.
    pub(crate) ports: Vec<u16>,
    /// The file it is in.
    pub(crate) file: String,
}

#[derive(Deserialize)]
struct Manifest {
    metadata: Metadata,
    spec: Spec,
    status: Status,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    node_name: String,
    containers: Vec<Container>,
}

#[derive(Deserialize)]
struct Container {
    #[serde(default)]
    ports: Vec<Port>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Port {
    container_port: u16,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    #[serde(rename = "podIP")]
    pod_ip: String,
}

/// The Pods in a directory of manifests, in order of their files and in those of their documents.
pub(crate) fn pods(dir: &Path) -> Result<Vec<Pod>> {
    let mut pods = Vec::new();
    for (file, text) in files(dir)? {
        let documents: Vec<Value> =
            serde_saphyr::from_multiple(&text).with_context(|| format!("read {file}"))?;
        for document in documents.into_iter().filter(|document| document["kind"] == "Pod") {
            let pod: Manifest =
                serde_json::from_value(document).with_context(|| format!("a Pod in {file}"))?;
            let ports = pod.spec.containers.iter().flat_map(|container| &container.ports);
            pods.push(Pod {
                name: pod.metadata.name,
                node: pod.spec.node_name,
                ip: pod.status.pod_ip,
                ports: ports.map(|port| port.container_port).collect(),
                file: file.clone(),
            });
        }
    }
    if pods.is_empty() {
        bail!("there is no Pod in {}", dir.display());
    }
    Ok(pods)
}

/// Name and text of each file of a directory, by name.
pub(crate) fn files(dir: &Path) -> Result<Vec<(String, String)>> {
    let read = || -> std::io::Result<Vec<(String, String)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                let name = entry.file_name().to_string_lossy().into_owned();
                files.push((name, fs::read_to_string(entry.path())?));
            }
        }
        files.sort();
        Ok(files)
    };
    read().with_context(|| format!("read the manifests in {}", dir.display()))
}

/// A file of several documents without the one that names this object.
pub(crate) fn without(text: &str, name: &str) -> String {
    let named = format!("name: {name}");
    let is_other = |document: &&str| !document.lines().any(|line| line.trim() == named);
    text.split("\n---\n").filter(is_other).collect::<Vec<_>>().join("\n---\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_taken_out_by_the_name_of_its_object_and_no_other() {
        let text = "kind: Pod\nmetadata:\n  name: pod-a\n---\nkind: Pod\nmetadata:\n  name: pod-ab\n";
        assert_eq!(without(text, "pod-a"), "kind: Pod\nmetadata:\n  name: pod-ab\n");
        assert_eq!(without(text, "pod-c"), text);
    }
}
