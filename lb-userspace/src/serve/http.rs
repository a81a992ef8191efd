//! Which path leads to which answer.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, Response, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{any, get};
use jiff::Timestamp;
use tokio::sync::{Mutex, watch};

use super::answers::{self, Answer};
use super::checks::CheckKey;
use super::metrics::{Metrics, Probe};
use super::pages::Pages;
use super::published::Published;
use super::text;

/// What [`Metrics`] are written in, and what whoever doesn't ask for it gets.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN_METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
/// What `/proxyMode` says: where kube-proxy names its mode, this is ours (MTS-01).
const PROXY_MODE: &str = "ebpf";
const WEIGHT: HeaderName = HeaderName::from_static("x-load-balancing-endpoint-weight");

/// `/healthz` and `/livez` (HLZ-01, HLZ-05).
pub(super) fn health(published: watch::Receiver<Published>, metrics: Metrics) -> Router {
    let (of_live, live_metrics) = (published.clone(), metrics.clone());
    let healthz = move || async move {
        let answer = answers::healthz(&published.borrow(), (Instant::now(), Timestamp::now()));
        metrics.count_probe(Probe::Healthz, answer.status);
        answer.into_response()
    };
    let livez = move || async move {
        let answer = answers::livez(&of_live.borrow(), (Instant::now(), Timestamp::now()));
        live_metrics.count_probe(Probe::Livez, answer.status);
        answer.into_response()
    };
    Router::new().route("/healthz", any(healthz)).route("/livez", any(livez))
}

/// A health-check node port: any path, any method (HCN-03).
pub(super) fn check(published: watch::Receiver<Published>, key: CheckKey) -> Router {
    let key = Arc::new(key);
    Router::new().fallback(move || async move {
        let answer = answers::check(&published.borrow(), &key, Instant::now());
        answer.map_or_else(|| StatusCode::SERVICE_UNAVAILABLE.into_response(), Answer::into_response)
    })
}

/// `/metrics`, `/proxyMode`, the pages, and `/healthz` of this server alone (MTS-01).
pub(super) fn metrics(metrics: Metrics, pages: Pages) -> Router {
    let one_at_a_time = Arc::new(Mutex::new(()));
    let scrape = move |headers: HeaderMap| async move {
        let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
        let is_open = accept.is_some_and(text::wants_open);
        // The tables of flows are walked through for it, which takes a while where they are full.
        let turn = one_at_a_time.lock_owned().await;
        let text = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            metrics.text().map(|text| if is_open { text } else { text::plain(&text) })
        });
        let kind = if is_open { OPEN_METRICS } else { PLAIN_METRICS };
        let text = text.await;
        match text {
            Ok(Ok(text)) => ([(header::CONTENT_TYPE, kind)], text).into_response(),
            Ok(Err(_)) | Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    };
    let (of_flags, of_status) = (pages.clone(), pages.clone());
    Router::new()
        .route("/metrics", get(scrape))
        .route("/proxyMode", any(|| async { plainly(PROXY_MODE) }))
        .route(
            "/configz",
            get(move || async move { ([(header::CONTENT_TYPE, "application/json")], pages.configz()) }),
        )
        .route("/flagz", get(move || async move { plainly(of_flags.flagz()) }))
        .route("/statusz", get(move || async move { plainly(of_status.statusz(Timestamp::now())) }))
        .route("/healthz", any(|| async { "ok" }))
}

fn plainly(text: impl IntoResponse) -> impl IntoResponse {
    let headers =
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (headers, text)
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response<Body> {
        let headers =
            [(header::CONTENT_TYPE, "application/json"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let weight = self.weight.map(|weight| [(WEIGHT, weight.to_string())]);
        match weight {
            Some(weight) => (status, headers, weight, self.body).into_response(),
            None => (status, headers, self.body).into_response(),
        }
    }
}
