//! What the server knows, and what happened to it: an etcd of one process, with one count of versions.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::{Value, json};

use super::resource::Resource;

/// The plural, the namespace and the name of an object.
pub(super) type Key = (&'static str, String, String);

/// Something that happened to an object.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) version: u64,
    pub(super) key: Key,
    pub(super) before: Option<Arc<Value>>,
    /// `None` for one that was deleted.
    pub(super) after: Option<Arc<Value>>,
}

/// The rest of a list of which a part was given.
#[derive(Debug, Clone)]
pub(super) struct Rest {
    pub(super) version: u64,
    pub(super) items: VecDeque<Arc<Value>>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Store {
    version: u64,
    objects: BTreeMap<Key, Arc<Value>>,
    log: VecDeque<Entry>,
    /// What happened up to this version is forgotten.
    compacted: u64,
    rests: BTreeMap<String, Rest>,
    /// How many rests there were.
    tokens: u64,
}

impl Store {
    /// The version of the last change.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Whether what happened since a version is still known.
    pub(super) fn remembers(&self, version: u64) -> bool {
        version >= self.compacted
    }

    /// Forgets what happened, and the rests of lists.
    pub(super) fn compact(&mut self) {
        self.compacted = self.version;
        self.log.clear();
        self.rests.clear();
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Arc<Value>> {
        self.objects.get(key)
    }

    /// All objects of a kind, in a namespace or in all.
    pub(super) fn all(&self, resource: Resource, namespace: Option<&str>) -> Vec<Arc<Value>> {
        let from = (resource.plural, String::new(), String::new());
        let objects = self.objects.range(from..).take_while(|(key, _)| key.0 == resource.plural);
        objects
            .filter(|(key, _)| namespace.is_none_or(|namespace| namespace == key.1))
            .map(|(_, object)| Arc::clone(object))
            .collect()
    }

    /// Puts an object as it is given, with what a server adds to it; returns it as it is now.
    pub(super) fn put(&mut self, resource: Resource, mut object: Value) -> Arc<Value> {
        self.version += 1;
        object["apiVersion"] = json!(resource.api_version);
        object["kind"] = json!(resource.kind);
        let metadata = &mut object["metadata"];
        if resource.is_namespaced && metadata["namespace"].is_null() {
            metadata["namespace"] = json!("default");
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let key = (resource.plural, text(&metadata["namespace"]), text(&metadata["name"]));
        let before = self.objects.get(&key).cloned();
        metadata["resourceVersion"] = json!(self.version.to_string());
        let made = json!({
            "uid": format!("00000000-0000-4000-8000-{:012x}", self.version),
            "creationTimestamp": "2026-01-01T00:00:00Z",
        });
        for field in ["uid", "creationTimestamp"] {
            let old = before.as_ref().map_or(&made[field], |before| &before["metadata"][field]);
            metadata[field] = old.clone();
        }
        metadata["managedFields"] = managed_fields(resource);
        let after = Arc::new(object);
        self.objects.insert(key.clone(), Arc::clone(&after));
        self.log.push_back(Entry { version: self.version, key, before, after: Some(Arc::clone(&after)) });
        after
    }

    /// Takes an object out; returns it as it was last.
    pub(super) fn remove(&mut self, key: &Key) -> Option<Arc<Value>> {
        let before = self.objects.remove(key)?;
        self.version += 1;
        let entry =
            Entry { version: self.version, key: key.clone(), before: Some(Arc::clone(&before)), after: None };
        self.log.push_back(entry);
        Some(before)
    }

    /// What happened to a kind after a version, the oldest first.
    pub(super) fn since(&self, version: u64, resource: Resource) -> Vec<Entry> {
        let from = self.log.partition_point(|entry| entry.version <= version);
        let entries = self.log.range(from..);
        entries.filter(|entry| entry.key.0 == resource.plural).cloned().collect()
    }

    /// Keeps the rest of a list; returns the token by which it is asked for.
    pub(super) fn keep_rest(&mut self, rest: Rest) -> String {
        self.tokens += 1;
        let token = format!("rest-{}", self.tokens);
        self.rests.insert(token.clone(), rest);
        token
    }

    /// The rest of a list, once.
    pub(super) fn take_rest(&mut self, token: &str) -> Option<Rest> {
        self.rests.remove(token)
    }
}

/// What a server notes of who set which field: most of what it sends, and of no use to a proxy.
fn managed_fields(resource: Resource) -> Value {
    json!([{
        "manager": "apply", "operation": "Update", "apiVersion": resource.api_version,
        "time": "2026-01-01T00:00:00Z", "fieldsType": "FieldsV1",
        "fieldsV1": {
            "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
            "f:spec": {"f:ports": {".": {}, "f:port": {}}, "f:selector": {}, "f:type": {}},
        },
    }])
}

#[cfg(test)]
mod tests {
    use super::super::resource::of_kind;
    use super::*;

    #[test]
    fn what_happened_is_known_until_it_is_forgotten() {
        let node = of_kind("Node").unwrap();
        let mut store = Store::default();
        store.put(node, json!({"metadata": {"name": "a"}}));
        let created = store.put(node, json!({"metadata": {"name": "b"}}))["metadata"]["uid"].clone();
        let changed = store.put(node, json!({"metadata": {"name": "b"}, "spec": {}}));
        assert_eq!(changed["metadata"]["uid"], created);
        store.remove(&("nodes", String::new(), "a".to_owned()));
        let told = |store: &Store, version| {
            let entries = store.since(version, node);
            entries.iter().map(|entry| (entry.version, entry.after.is_some())).collect::<Vec<_>>()
        };
        assert_eq!(told(&store, 1), [(2, true), (3, true), (4, false)]);
        assert_eq!(store.since(0, of_kind("Service").unwrap()).len(), 0);
        assert_eq!(store.all(node, None).len(), 1);
        store.compact();
        assert!(!store.remembers(3) && store.remembers(4));
    }
}
