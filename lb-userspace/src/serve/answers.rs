//! What is said to whoever asks: status, headers and body of each answer, as kube-proxy says it.

use std::time::Instant;

use jiff::Timestamp;
use serde::Serialize;

use super::checks::CheckKey;
use super::published::Published;

/// An answer in JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// 200 or 503.
    pub(super) status: u16,
    /// Of a health-check node port: the header `X-Load-Balancing-Endpoint-Weight`.
    pub(super) weight: Option<usize>,
    /// JSON.
    pub(super) body: String,
}

/// The fields in kube-proxy's order (HLZ-01).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Health {
    last_updated: Timestamp,
    current_time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    node_eligible: Option<bool>,
    healthy: bool,
    status: Families,
}

#[derive(Serialize)]
struct Families {
    #[serde(rename = "IPv4")]
    v4: FamilyHealth,
    #[serde(rename = "IPv6")]
    v6: FamilyHealth,
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
struct FamilyHealth {
    last_updated: Timestamp,
    healthy: bool,
}

/// `/healthz`: whether this node should be sent clients (HLZ-01 to HLZ-04).
pub(super) fn healthz(published: &Published, now: (Instant, Timestamp)) -> Answer {
    health(published, now, Some(published.is_node_eligible))
}

/// `/livez`: whether this process works (HLZ-05).
pub(super) fn livez(published: &Published, now: (Instant, Timestamp)) -> Answer {
    health(published, now, None)
}

fn health(published: &Published, (instant, now): (Instant, Timestamp), node: Option<bool>) -> Answer {
    let healthy = published.is_healthy(instant);
    let good = healthy && node != Some(false);
    // HLZ-03: who is well was so just now.
    let last_updated = if good { now } else { published.updated };
    // Both families are put in force together.
    let family = FamilyHealth { last_updated: published.updated, healthy };
    let status = Families { v4: family, v6: family };
    let health = Health { last_updated, current_time: now, node_eligible: node, healthy, status };
    Answer { status: status_of(good), weight: None, body: json(&health) }
}

/// A health-check node port (HCN-03); `None` where it is just going away.
pub(super) fn check(published: &Published, key: &CheckKey, now: Instant) -> Option<Answer> {
    let count = published.checks.get(key)?.local_endpoints;
    let healthy = published.is_healthy(now);
    let (namespace, name) = (json(&key.0.namespace), json(&key.0.name));
    let body = format!(
        "{{\n\t\"service\": {{\n\t\t\"namespace\": {namespace},\n\t\t\"name\": {name}\n\t}},\n\t\
         \"localEndpoints\": {count},\n\t\"serviceProxyHealthy\": {healthy}\n}}"
    );
    Some(Answer { status: status_of(count != 0 && healthy), weight: Some(count), body })
}

fn status_of(good: bool) -> u16 {
    if good { 200 } else { 503 }
}

/// None of what is written here can fail to be JSON.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests;
