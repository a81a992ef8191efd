//! What the real server asks of an event (`events.k8s.io/v1`), as `pkg/apis/core/validation/events.go` has it:
//! the fields that one must have, and that only its series ever changes.

use serde_json::Value;

use super::answer::Refusal;

/// Whether an event can be made.
pub(super) fn check_new(event: &Value) -> Result<(), Refusal> {
    let text = |field: &str| event[field].as_str().unwrap_or_default();
    let metadata = |field: &str| event["metadata"][field].as_str().unwrap_or_default();
    for field in ["reportingController", "reportingInstance", "action", "reason", "eventTime"] {
        require(!text(field).is_empty(), field, "Required value")?;
    }
    for field in ["reportingInstance", "action", "reason"] {
        require(text(field).len() <= 128, field, "can have at most 128 characters")?;
    }
    require(text("note").len() <= 1024, "note", "can have at most 1024 characters")?;
    require(["Normal", "Warning"].contains(&text("type")), "type", "has invalid value")?;
    require(is_micro_time(text("eventTime")), "eventTime", "is no MicroTime")?;
    for field in
        ["deprecatedCount", "deprecatedFirstTimestamp", "deprecatedLastTimestamp", "deprecatedSource"]
    {
        require(event.get(field).is_none(), field, "needs to be unset")?;
    }
    require(is_name(metadata("name")), "metadata.name", "is no RFC 1123 subdomain")?;
    match event["regarding"]["namespace"].as_str() {
        Some(of) => require(of == metadata("namespace"), "regarding.namespace", "does not match")?,
        None => {
            let is_default = ["default", "kube-system"].contains(&metadata("namespace"));
            require(is_default, "regarding.namespace", "does not match event.namespace")?;
        }
    }
    check_series(event)
}

/// Whether an event can be changed so.
pub(super) fn check_change(before: &Value, after: &Value) -> Result<(), Refusal> {
    let fields = after.as_object().into_iter().chain(before.as_object()).flat_map(|fields| fields.keys());
    for field in fields.filter(|field| !["series", "metadata"].contains(&field.as_str())) {
        require(before[field] == after[field], field, "field is immutable")?;
    }
    check_series(after)
}

fn check_series(event: &Value) -> Result<(), Refusal> {
    let Some(series) = event.get("series").filter(|series| !series.is_null()) else { return Ok(()) };
    require(series["count"].as_u64() >= Some(2), "series.count", "should be at least 2")?;
    let last = series["lastObservedTime"].as_str().unwrap_or_default();
    require(is_micro_time(last), "series.lastObservedTime", "Required value")
}

fn require(is_so: bool, field: &str, message: &str) -> Result<(), Refusal> {
    if is_so { Ok(()) } else { Err(Refusal(422, format!("Event is invalid: {field}: {message}"))) }
}

/// As `2026-01-02T03:04:05.678901Z`, the only form that Go's `MicroTime` reads.
fn is_micro_time(text: &str) -> bool {
    text.len() == "2006-01-02T15:04:05.000000Z".len() && text.ends_with('Z') && text.as_bytes()[19] == b'.'
}

fn is_name(name: &str) -> bool {
    let is_part = |part: &str| {
        let is_edge =
            |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        is_edge(part.bytes().next())
            && is_edge(part.bytes().last())
            && part.bytes().all(|byte| is_edge(Some(byte)) || byte == b'-')
    };
    name.len() <= 253 && name.split('.').all(is_part)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event() -> Value {
        json!({
            "metadata": {"name": "web.0a", "namespace": "default"},
            "eventTime": "2026-01-02T03:04:05.678901Z", "type": "Warning", "reason": "R", "action": "A",
            "reportingController": "shunt", "reportingInstance": "n1", "note": "",
            "regarding": {"kind": "Service", "namespace": "default", "name": "web"},
        })
    }

    #[test]
    fn an_event_that_the_real_server_would_refuse_is_refused() {
        assert!(check_new(&event()).is_ok());
        for (field, value) in [
            ("eventTime", json!("2026-01-02T03:04:05Z")),
            ("note", json!("n".repeat(1025))),
            ("reason", json!("")),
            ("type", json!("Error")),
            ("deprecatedCount", json!(1)),
            ("regarding", json!({"namespace": "elsewhere"})),
            ("metadata", json!({"name": "web-.0a", "namespace": "default"})),
            ("series", json!({"count": 1, "lastObservedTime": "2026-01-02T03:04:05.678901Z"})),
        ] {
            let mut wrong = event();
            wrong[field] = value;
            assert!(check_new(&wrong).is_err(), "{field}");
        }
    }

    #[test]
    fn only_the_series_of_an_event_changes() {
        let (before, mut after) = (event(), event());
        after["series"] = json!({"count": 2, "lastObservedTime": "2026-01-02T03:04:05.678901Z"});
        assert!(check_change(&before, &after).is_ok());
        after["note"] = json!("another");
        assert!(check_change(&before, &after).is_err());
    }
}
