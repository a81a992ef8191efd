//! The kinds that are served, and where.

/// A kind, as the paths of the API name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Resource {
    pub(super) kind: &'static str,
    /// `v1`, or with its group as in `discovery.k8s.io/v1`.
    pub(super) api_version: &'static str,
    pub(super) plural: &'static str,
    pub(super) is_namespaced: bool,
}

const ALL: &[Resource] = &[
    Resource { kind: "Service", api_version: "v1", plural: "services", is_namespaced: true },
    Resource {
        kind: "EndpointSlice",
        api_version: "discovery.k8s.io/v1",
        plural: "endpointslices",
        is_namespaced: true,
    },
    Resource { kind: "Node", api_version: "v1", plural: "nodes", is_namespaced: false },
    Resource {
        kind: "ServiceCIDR",
        api_version: "networking.k8s.io/v1",
        plural: "servicecidrs",
        is_namespaced: false,
    },
    Resource { kind: "Event", api_version: "events.k8s.io/v1", plural: "events", is_namespaced: true },
];

/// What a path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) resource: Resource,
    /// `None` for all of them.
    pub(super) namespace: Option<String>,
    /// `None` for all of them.
    pub(super) name: Option<String>,
}

/// The kind of that name.
pub(super) fn of_kind(kind: &str) -> Option<Resource> {
    ALL.iter().copied().find(|resource| resource.kind == kind)
}

/// What a path leads to, if anything.
pub(super) fn target(path: &str) -> Option<Target> {
    let mut parts = path.trim_matches('/').split('/');
    let api_version = match parts.next()? {
        "api" => parts.next()?.to_owned(),
        "apis" => format!("{}/{}", parts.next()?, parts.next()?),
        _ => return None,
    };
    let mut plural = parts.next()?;
    let mut namespace = None;
    let mut name = parts.next();
    if plural == "namespaces" {
        namespace = name.map(str::to_owned);
        plural = parts.next()?;
        name = parts.next();
    }
    let is_it = |resource: &&Resource| resource.plural == plural && resource.api_version == api_version;
    let resource = *ALL.iter().find(is_it)?;
    parts.next().is_none().then(|| Target { resource, namespace, name: name.map(str::to_owned) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_where_those_of_a_real_server_do() {
        let found = |path| target(path).map(|target| (target.resource.kind, target.namespace, target.name));
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(found("/api/v1/services"), Some(("Service", None, None)));
        assert_eq!(found("/api/v1/nodes/node-1"), Some(("Node", None, text("node-1"))));
        assert_eq!(
            found("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/web"),
            Some(("EndpointSlice", text("default"), text("web")))
        );
        for path in ["/", "/api/v1/pods", "/api/v1/endpointslices", "/api/v1/services/a/b"] {
            assert_eq!(found(path), None, "{path}");
        }
    }
}
