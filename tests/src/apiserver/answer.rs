//! Requests to answers.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::{Method, Response, StatusCode, header};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::event;
use super::resource::{self, Target};
use super::selector::Selector;
use super::state::{Fault, Request, Shared};
use super::store::{Key, Rest};
use super::stream;

/// The answer breaks off: the connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BreakOff;

impl std::fmt::Display for BreakOff {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the answer breaks off here")
    }
}

impl std::error::Error for BreakOff {}

pub(super) type Body = UnsyncBoxBody<Bytes, BreakOff>;
type Query = BTreeMap<String, String>;

/// A refusal: its code, its reason and its message.
pub(super) struct Refusal(pub(super) u16, pub(super) String);

/// Answers a request, or closes its connection.
pub(super) async fn answer(
    shared: Arc<Shared>,
    request: hyper::Request<Incoming>,
) -> Result<Response<Body>, BreakOff> {
    let (parts, body) = request.into_parts();
    let pairs = decoded(parts.uri.query().unwrap_or_default());
    let query: Query = pairs.iter().cloned().collect();
    let target = resource::target(parts.uri.path());
    let has_name = target.as_ref().is_some_and(|target| target.name.is_some());
    let verb = verb(&parts.method, &query, has_name);
    let authorization = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let fault = {
        let mut state = shared.read();
        state.requests.push(Request {
            verb,
            path: parts.uri.path().to_owned(),
            query: pairs,
            authorization: authorization.map(str::to_owned),
        });
        state.take_fault(target.as_ref().map(|target| target.resource.plural))
    };
    match &fault {
        Some(Fault::Status(code)) => return Ok(refusal(&Refusal(*code, "out of order".to_owned()))),
        Some(Fault::Slow(time)) => tokio::time::sleep(*time).await,
        Some(Fault::Silent) => std::future::pending().await,
        Some(Fault::Cut) => return Err(BreakOff),
        Some(Fault::Garbage) => return Ok(text("<html>{\"kind\": \"Surprise\"".to_owned())),
        Some(Fault::NoWatch) if verb == "watch" => {
            return Ok(refusal(&Refusal(403, "forbidden: it may list, and not watch".to_owned())));
        }
        // These are of what is answered: see there.
        Some(
            Fault::Truncated
            | Fault::Empty
            | Fault::Few(_)
            | Fault::ShortLists
            | Fault::Stalled
            | Fault::ShortWatches
            | Fault::SpoiledWatches
            | Fault::NoWatch,
        )
        | None => {}
    }
    let Some(target) = target.filter(|target| is_there(&shared, target)) else {
        return Ok(refusal(&Refusal(404, "the server could not find the requested resource".to_owned())));
    };
    let body = body.collect().await.map_err(|_| BreakOff)?.to_bytes();
    let given = match verb {
        "watch" => watch(&shared, &target, &query, fault),
        "list" => list(&shared, &target, &query, fault),
        _ => one(&shared, verb, target, &body).map(|value| text(value.to_string())),
    };
    Ok(given.unwrap_or_else(|why| refusal(&why)))
}

fn is_there(shared: &Shared, target: &Target) -> bool {
    target.resource.plural != "servicecidrs" || shared.read().features.service_cidrs
}

fn verb(method: &Method, query: &Query, has_name: bool) -> &'static str {
    let is_watch = query.get("watch").is_some_and(|value| value == "true" || value == "1");
    match (method.as_str(), has_name) {
        ("GET", _) if is_watch => "watch",
        ("GET", true) => "get",
        ("GET", false) => "list",
        ("POST", _) => "create",
        ("PATCH", _) => "patch",
        ("DELETE", _) => "delete",
        _ => "other",
    }
}

fn selector(query: &Query) -> Result<Selector, Refusal> {
    let parameter = |name| query.get(name).map(String::as_str).unwrap_or_default();
    Selector::parse(parameter("labelSelector"), parameter("fieldSelector")).map_err(|why| Refusal(400, why))
}

fn watch(
    shared: &Arc<Shared>,
    target: &Target,
    query: &Query,
    fault: Option<Fault>,
) -> Result<Response<Body>, Refusal> {
    let watch = stream::Watch::new(shared, target, selector(query)?, query, fault)?;
    let (sender, mut receiver) = mpsc::channel::<Result<Bytes, BreakOff>>(16);
    tokio::spawn(watch.run(sender));
    let frames = futures::stream::poll_fn(move |context| receiver.poll_recv(context));
    let frames = futures::StreamExt::map(frames, |part| part.map(Frame::data));
    Ok(respond(StatusCode::OK, StreamBody::new(frames).boxed_unsync()))
}

fn list(
    shared: &Arc<Shared>,
    target: &Target,
    query: &Query,
    fault: Option<Fault>,
) -> Result<Response<Body>, Refusal> {
    let selector = selector(query)?;
    let mut state = shared.read();
    let limit = query.get("limit").and_then(|limit| limit.parse().ok()).filter(|limit| *limit > 0);
    let limit = limit.unwrap_or(usize::MAX).min(state.features.page);
    let mut rest = match query.get("continue").filter(|token| !token.is_empty()) {
        Some(token) => {
            let rest = state.store.take_rest(token).filter(|_| state.forgotten_pages == 0);
            state.forgotten_pages = state.forgotten_pages.saturating_sub(1);
            rest.ok_or_else(|| Refusal(410, "The provided continue parameter is too old".to_owned()))?
        }
        None => {
            let mut items = state.store.all(target.resource, target.namespace.as_deref());
            items.retain(|object| selector.selects(object));
            items.truncate(most(fault.as_ref()));
            Rest { version: state.store.version(), items: items.into() }
        }
    };
    let items: Vec<_> = rest.items.drain(..limit.min(rest.items.len())).collect();
    let mut metadata = json!({ "resourceVersion": rest.version.to_string() });
    if !rest.items.is_empty() {
        metadata["remainingItemCount"] = json!(rest.items.len());
        metadata["continue"] = json!(state.store.keep_rest(rest));
    }
    let list = json!({
        "kind": format!("{}List", target.resource.kind),
        "apiVersion": target.resource.api_version,
        "metadata": metadata,
        "items": items.iter().map(|item| &**item).collect::<Vec<_>>(),
    });
    let list = list.to_string();
    if fault == Some(Fault::Truncated) {
        let half = list[..list.len() / 2].to_owned();
        let parts = [Ok(Frame::data(Bytes::from(half))), Err(BreakOff)];
        let body = StreamBody::new(futures::stream::iter(parts));
        return Ok(respond(StatusCode::OK, body.boxed_unsync()));
    }
    Ok(text(list))
}

/// How many objects a list has at most.
pub(super) fn most(fault: Option<&Fault>) -> usize {
    match fault {
        Some(Fault::Empty) => 0,
        Some(Fault::Few(count)) => *count,
        _ => usize::MAX,
    }
}

/// One object is read, made, changed or deleted.
fn one(shared: &Shared, verb: &str, target: Target, body: &Bytes) -> Result<Value, Refusal> {
    let Target { resource, namespace, name } = target;
    let parse = || serde_json::from_slice::<Value>(body).map_err(|error| Refusal(400, error.to_string()));
    let key = |name: String| -> Key { (resource.plural, namespace.clone().unwrap_or_default(), name) };
    let absent = || Refusal(404, format!("{} not found", resource.plural));
    match (verb, name) {
        ("get", Some(name)) => {
            shared.read().store.get(&key(name)).map(|object| (**object).clone()).ok_or_else(absent)
        }
        ("create", None) => {
            let mut object = parse()?;
            let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            if shared.read().store.get(&key(name)).is_some() {
                return Err(Refusal(409, "already exists".to_owned()));
            }
            if let Some(namespace) = &namespace {
                object["metadata"]["namespace"] = json!(namespace);
            }
            if resource.kind == "Event" {
                event::check_new(&object)?;
            }
            Ok((*shared.change(|state| state.store.put(resource, object))).clone())
        }
        ("patch", Some(name)) => {
            let patch = parse()?;
            let before = shared.read().store.get(&key(name)).cloned().ok_or_else(absent)?;
            let mut object = (*before).clone();
            merge(&mut object, &patch);
            if resource.kind == "Event" {
                event::check_change(&before, &object)?;
            }
            Ok((*shared.change(|state| state.store.put(resource, object))).clone())
        }
        ("delete", Some(name)) => {
            let removed = shared.change(|state| state.store.remove(&key(name)));
            removed.map(|object| (*object).clone()).ok_or_else(absent)
        }
        _ => Err(Refusal(405, "the server does not allow this method on the requested resource".to_owned())),
    }
}

/// A merge patch (RFC 7396).
fn merge(object: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *object = patch.clone();
        return;
    };
    if !object.is_object() {
        *object = json!({});
    }
    for (name, value) in fields {
        if value.is_null() {
            object.as_object_mut().into_iter().for_each(|object| _ = object.remove(name));
        } else {
            merge(&mut object[name], value);
        }
    }
}

fn text(text: String) -> Response<Body> {
    respond(StatusCode::OK, whole(text))
}

fn whole(text: String) -> Body {
    Full::new(Bytes::from(text)).map_err(|never: Infallible| match never {}).boxed_unsync()
}

/// A `Status`, as every refusal of a real server is.
pub(super) fn status(Refusal(code, message): &Refusal) -> Value {
    let reason = match code {
        400 => "BadRequest",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        405 => "MethodNotAllowed",
        409 => "AlreadyExists",
        410 => "Expired",
        422 => "Invalid",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "InternalError",
    };
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    })
}

fn refusal(why: &Refusal) -> Response<Body> {
    let code = StatusCode::from_u16(why.0).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    respond(code, whole(status(why).to_string()))
}

fn respond(code: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// The pairs of a query (`application/x-www-form-urlencoded`).
fn decoded(query: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merge_patch_sets_and_takes_away() {
        let mut object = json!({"a": {"b": 1, "c": 2}, "d": [1]});
        merge(&mut object, &json!({"a": {"b": null, "e": 3}, "d": [2], "f": {"g": null}}));
        assert_eq!(object, json!({"a": {"c": 2, "e": 3}, "d": [2], "f": {}}));
    }
}
