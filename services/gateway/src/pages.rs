//! Pages and assets.
//!
//! Invariant: a handler asks for one value and has it rendered. It never decides what a figure is.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use views::figures::{CompareAsked, ListAsked};

use crate::answer::{self, Answer, CACHE, Parameters, Shared, parsed};
use crate::api::span_asked;
use crate::problem::Problem;
use crate::rendered::{HTML, Rendered};

/// `/`
pub async fn overview(State(site): Shared, headers: HeaderMap) -> Response {
    let make = || Rendered::new(HTML, views::overview::page(&site.compose(|composer| composer.overview())));
    site.held.get_or("/", make).answer(&headers, CACHE)
}

/// `/wall`
pub async fn wall(State(site): Shared, headers: HeaderMap) -> Response {
    let make = || Rendered::new(HTML, views::wall::page(&site.compose(|composer| composer.wall())));
    site.held.get_or("/wall", make).answer(&headers, CACHE)
}

/// `/about-the-data`
pub async fn about(State(site): Shared, headers: HeaderMap) -> Response {
    let make = || Rendered::new(HTML, views::about::page(&site.compose(|composer| composer.about(site.rules))));
    site.held.get_or("/about-the-data", make).answer(&headers, CACHE)
}

/// `/services`
pub async fn services(State(site): Shared, parameters: Parameters, uri: Uri, headers: HeaderMap) -> Answer {
    let asked = parsed(parameters, ListAsked::read)?;
    let made = site.held.get_or_try(&uri.to_string(), || {
        let list = site.compose(|composer| composer.service_list(&asked))?;
        Ok::<_, Problem>(Rendered::new(HTML, views::services::page(&list)))
    })?;
    Ok(made.answer(&headers, CACHE))
}

/// `/services/{id}`
pub async fn service(
    State(site): Shared,
    Path(id): Path<String>,
    parameters: Parameters,
    uri: Uri,
    headers: HeaderMap,
) -> Answer {
    let service = answer::service(&site, &id)?;
    let span = parsed(parameters, span_asked)?;
    // Without its past a page is made all the same, and says so.
    let past = site.series(service, &span).await;
    let past = past.inspect_err(|error| tracing::warn!(%error, "the past of a service cannot be read")).ok();
    let make = || Rendered::new(HTML, views::service::page(&site.service_page(service, past)));
    Ok(site.held.get_or(&uri.to_string(), make).answer(&headers, CACHE))
}

/// `/compare`
pub async fn compare(State(site): Shared, parameters: Parameters, uri: Uri, headers: HeaderMap) -> Answer {
    let asked = parsed(parameters, |asked| CompareAsked::read(asked, runtime::clock::now_ms()))?;
    let made = site.held.get_or_try(&uri.to_string(), || {
        let compare = site.compose(|composer| composer.compare(&asked))?;
        Ok::<_, Problem>(Rendered::new(HTML, views::compare::page(&compare)))
    })?;
    Ok(made.answer(&headers, CACHE))
}

/// `/assets/{name}`
pub async fn asset(State(site): Shared, Path(name): Path<String>, headers: HeaderMap) -> Answer {
    let make = || {
        let asset = views::asset(&name).ok_or_else(|| Problem::not_found("file of this name"))?;
        Ok::<_, Problem>(Rendered::lasting(asset.content_type, asset.bytes.into_owned()))
    };
    Ok(site.assets.get_or_try(&name, make)?.answer(&headers, views::assets::CACHE_CONTROL))
}

/// `/health`: whether the gateway can do its work, in words if not; for screens that reload and for balancers, which do
/// not reach the admin port.
pub async fn health(State(site): Shared) -> Response {
    let (status, words) = match site.health.reason() {
        None => (StatusCode::OK, "ready\n".to_owned()),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    };
    let kind = "text/plain; charset=utf-8";
    (status, [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-store")], words).into_response()
}

/// Every other address.
pub async fn nowhere() -> Problem {
    Problem::not_found("page at this address")
}
