//! Pages and assets.
//!
//! Invariant: a handler asks for one value and has it rendered. It never decides what a figure is.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use views::ask::Broken;
use views::figures::{CompareAsked, Context, ListAsked};
use views::span::Span;

use crate::site::{HTML, Rendered, Site};

/// Pages are asked for again each time; an unchanged one costs no body.
const CACHE: &str = "no-cache";

type Shared = State<Arc<Site>>;

/// The parameters of an address; what is not UTF-8 cannot be read.
pub type Parameters = Result<Query<Vec<(String, String)>>, QueryRejection>;

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
pub async fn services(State(site): Shared, parameters: Parameters, uri: Uri, headers: HeaderMap) -> Response {
    let list = parsed(parameters, ListAsked::parse);
    let list = list.and_then(|asked| {
        site.held.get_or_try(&uri.to_string(), || {
            let list = site.compose(|composer| composer.service_list(&asked))?;
            Ok(Rendered::new(HTML, views::services::page(&list)))
        })
    });
    answer_or_refuse(&site, list, &headers)
}

/// Parameters as a question, or what is wrong with them.
pub(crate) fn parsed<T>(
    parameters: Parameters,
    parse: impl FnOnce(&[(String, String)]) -> Result<T, Vec<Broken>>,
) -> Result<T, Vec<Broken>> {
    match parameters {
        Ok(Query(pairs)) => parse(&pairs),
        Err(_) => Err(vec![Broken::new("query", "is UTF-8, percent-encoded")]),
    }
}

pub(crate) fn answer_or_refuse(site: &Site, made: Result<Rendered, Vec<Broken>>, headers: &HeaderMap) -> Response {
    match made {
        Ok(rendered) => rendered.answer(headers, CACHE),
        Err(broken) => {
            let page = views::errors::refused(&broken, Some(&site.context()));
            (StatusCode::BAD_REQUEST, [(header::CONTENT_TYPE, HTML), (header::CACHE_CONTROL, "no-store")], page)
                .into_response()
        }
    }
}

/// `/services/{id}`
pub async fn service(
    State(site): Shared,
    Path(id): Path<String>,
    parameters: Parameters,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let Some(service) = site.world.catalogue.service_by_id(&id) else {
        return not_found(&site, &format!("service called “{id}”"));
    };
    let span = match parsed(parameters, |pairs| Span::parse(pairs, runtime::clock::now_ms())) {
        Ok(span) => span,
        Err(broken) => return answer_or_refuse(&site, Err(broken), &headers),
    };
    // Without its past a page is made all the same, and says so.
    let past = site.series(service, &span).await;
    let past = past.inspect_err(|error| tracing::warn!(%error, "the past of a service cannot be read")).ok();
    let make = || Rendered::new(HTML, views::service::page(&site.service_page(service, past)));
    site.held.get_or(&uri.to_string(), make).answer(&headers, CACHE)
}

/// `/compare`
pub async fn compare(State(site): Shared, parameters: Parameters, uri: Uri, headers: HeaderMap) -> Response {
    let asked = parsed(parameters, |pairs| CompareAsked::parse(pairs, runtime::clock::now_ms()));
    let made = asked.and_then(|asked| {
        site.held.get_or_try(&uri.to_string(), || {
            let compare = site.compose(|composer| composer.compare(&asked))?;
            Ok(Rendered::new(HTML, views::compare::page(&compare)))
        })
    });
    answer_or_refuse(&site, made, &headers)
}

/// `/assets/{name}`
pub async fn asset(State(site): Shared, Path(name): Path<String>, headers: HeaderMap) -> Response {
    let Some(asset) = views::asset(&name) else { return StatusCode::NOT_FOUND.into_response() };
    let make = || Rendered::new(asset.content_type, asset.bytes.into_owned());
    site.held.get_or(&format!("/assets/{name}"), make).answer(&headers, views::assets::CACHE_CONTROL)
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
pub async fn nowhere(State(site): Shared) -> Response {
    not_found(&site, "page at this address")
}

pub(crate) fn not_found(site: &Site, what: &str) -> Response {
    let context: Context = site.context();
    let page = views::errors::not_found(what, Some(&context));
    (StatusCode::NOT_FOUND, [(header::CONTENT_TYPE, HTML), (header::CACHE_CONTROL, "no-store")], page).into_response()
}
