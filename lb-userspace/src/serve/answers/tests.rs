use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::*;
use crate::model::{Family, ObjectName};
use crate::serve::{HealthCheck, LATE};

fn key() -> CheckKey {
    (ObjectName::new("ns", "svc"), Family::V4)
}

fn published(local_endpoints: usize) -> Published {
    Published {
        updated: "2026-01-02T03:04:05.5Z".parse().expect("a time"),
        queued: None,
        is_node_eligible: true,
        checks: BTreeMap::from([(key(), HealthCheck { uid: None, addresses: vec![], local_endpoints })]),
    }
}

/// The same with a change that has been pending for so long.
fn pending(published: Published, since: Duration, now: Instant) -> Published {
    Published { queued: now.checked_sub(since), ..published }
}

fn now() -> (Instant, Timestamp) {
    (Instant::now() + 2 * LATE, "2026-01-02T03:05:00Z".parse().expect("a time"))
}

fn parsed(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).expect("JSON")
}

#[test]
fn the_body_of_a_health_check_is_kube_proxys_to_the_tab_hcn_03() {
    let answer = check(&published(1), &key(), now().0).expect("an answer");
    let body = "{\n\t\"service\": {\n\t\t\"namespace\": \"ns\",\n\t\t\"name\": \"svc\"\n\t},\n\t\
                \"localEndpoints\": 1,\n\t\"serviceProxyHealthy\": true\n}";
    assert_eq!(answer, Answer { status: 200, weight: Some(1), body: body.to_owned() });
}

#[test]
fn a_health_check_without_a_local_endpoint_is_503_with_its_weight_hcn_03() {
    let answer = check(&published(0), &key(), now().0).expect("an answer");
    assert_eq!((answer.status, answer.weight), (503, Some(0)));
}

#[test]
fn a_health_check_of_a_late_proxy_is_503_and_of_a_node_that_leaves_is_not_hcn_05() {
    let (instant, _) = now();
    let late = check(&pending(published(3), LATE, instant), &key(), instant).expect("an answer");
    assert_eq!((late.status, late.weight), (503, Some(3)));
    assert_eq!(parsed(&late)["serviceProxyHealthy"], false);
    let leaving = Published { is_node_eligible: false, ..published(3) };
    assert_eq!(check(&leaving, &key(), instant).expect("an answer").status, 200);
}

#[test]
fn a_health_check_that_is_gone_has_no_answer_hcn_07() {
    let other = (ObjectName::new("ns", "svc"), Family::V6);
    assert_eq!(check(&published(1), &other, now().0), None);
}

#[test]
fn healthz_has_kube_proxys_fields_in_its_order_hlz_01() {
    let answer = healthz(&published(0), now());
    assert_eq!(
        answer.body,
        "{\"lastUpdated\":\"2026-01-02T03:05:00Z\",\"currentTime\":\"2026-01-02T03:05:00Z\",\
         \"nodeEligible\":true,\"healthy\":true,\"status\":{\
         \"IPv4\":{\"lastUpdated\":\"2026-01-02T03:04:05.5Z\",\"healthy\":true},\
         \"IPv6\":{\"lastUpdated\":\"2026-01-02T03:04:05.5Z\",\"healthy\":true}}}"
    );
    assert_eq!((answer.status, answer.weight), (200, None));
}

#[test]
fn a_change_is_late_after_a_minute_and_one_in_time_is_not_hlz_02() {
    let (instant, time) = now();
    let just = pending(published(0), LATE - Duration::from_millis(1), instant);
    assert_eq!((healthz(&just, (instant, time)).status, livez(&just, (instant, time)).status), (200, 200));
    let late = pending(published(0), LATE, instant);
    assert_eq!((healthz(&late, (instant, time)).status, livez(&late, (instant, time)).status), (503, 503));
    assert_eq!(parsed(&livez(&late, (instant, time)))["healthy"], false);
}

#[test]
fn who_is_not_well_says_when_he_last_was_hlz_03() {
    let (instant, time) = now();
    let late = pending(published(0), LATE, instant);
    assert_eq!(parsed(&healthz(&late, (instant, time)))["lastUpdated"], "2026-01-02T03:04:05.5Z");
}

#[test]
fn a_node_that_leaves_is_not_eligible_though_its_proxy_is_healthy_hlz_04() {
    let answer = healthz(&Published { is_node_eligible: false, ..published(0) }, now());
    let body = parsed(&answer);
    assert_eq!(answer.status, 503);
    assert_eq!((&body["nodeEligible"], &body["healthy"]), (&Value::Bool(false), &Value::Bool(true)));
}

#[test]
fn livez_does_not_ask_whether_the_node_leaves_hlz_05() {
    let answer = livez(&Published { is_node_eligible: false, ..published(0) }, now());
    assert_eq!(answer.status, 200);
    assert_eq!(parsed(&answer).get("nodeEligible"), None);
}
