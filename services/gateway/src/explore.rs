//! The addresses of the Transactions Explorer, and of departments and agencies.
//!
//! Invariant: a page, its JSON and its CSV are made by one function from one value. It never decides what a figure is.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use domain::catalogue::Service;
use serde::Serialize;
use views::ask::{self, Broken};
use views::explorer::{self as pages, Asked};
use views::figures::{BodyStated, ExplorerList};

use crate::api::{answer_or_problem, no_service};
use crate::explorer::{CountedLive, Explorer};
use crate::pages::{Parameters, answer_or_refuse, not_found, parsed};
use crate::problem::Problem;
use crate::site::{CSV, HTML, Rendered, Site};

type Shared = State<Arc<Site>>;

/// In what form an answer is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Page,
    Json,
    Csv,
}

/// Which of the Explorer's own addresses.
#[derive(Debug, Clone, Copy)]
enum What {
    Home,
    All,
    HighVolume,
    Search,
    Treemap,
}

impl What {
    const fn path(self) -> &'static str {
        match self {
            Self::Home => "/explorer",
            Self::All => "/explorer/all-services",
            Self::HighVolume => "/explorer/high-volume",
            Self::Search => "/explorer/search",
            Self::Treemap => "/explorer/treemap",
        }
    }

    /// The one way to make an answer.
    fn render(self, site: &Site, asked: &Asked, form: Form) -> Result<Rendered, Vec<Broken>> {
        let context = site.context();
        match self {
            Self::Home => {
                let counted = counted(site);
                let home = site.explore(asked, |explorer| explorer.home(context, counted))?;
                let csv = || pages::departments_csv(&home.departments, home.stated_as_of_ms);
                Ok(shown(form, &home, || pages::home_page(&home), csv))
            }
            Self::Treemap => {
                let map = site.explore(asked, |explorer| explorer.treemap(context))?;
                let map = map.ok_or_else(|| vec![Broken::new("department", "is the id of a department")])?;
                let csv = || pages::treemap_csv(&map.map, map.stated_as_of_ms);
                Ok(shown(form, &map, || pages::map_page(&map), csv))
            }
            Self::All | Self::HighVolume | Self::Search => {
                let make = |explorer: &Explorer<'_>| match self {
                    Self::HighVolume => explorer.high_volume_list(context),
                    Self::Search => explorer.search(context),
                    _ => explorer.all_services(context),
                };
                let list = site.explore(asked, make)?;
                Ok(shown(form, &list, || pages::list_page(&list, self.path()), || list_csv(&list)))
            }
        }
    }
}

/// The counted side of the first page.
fn counted(site: &Site) -> CountedLive {
    let (services, total) = site.compose(|composer| composer.heard_and_counted());
    CountedLive { services, total }
}

fn list_csv(list: &ExplorerList) -> String {
    if list.departments.is_empty() {
        pages::services_csv(&list.services, list.stated_as_of_ms)
    } else {
        pages::departments_csv(&list.departments, list.stated_as_of_ms)
    }
}

fn shown(form: Form, value: &impl Serialize, page: impl FnOnce() -> String, csv: impl FnOnce() -> String) -> Rendered {
    match form {
        Form::Page => Rendered::new(HTML, page()),
        Form::Json => Rendered::json(value),
        Form::Csv => Rendered::new(CSV, csv()),
    }
}

/// What a program asks for: the question, and JSON or CSV.
fn parse_api(pairs: &[(String, String)]) -> Result<(Asked, Form), Vec<Broken>> {
    let asked = Asked::parse(pairs)?;
    let mut more = ask::Asked::new(pairs);
    let form = more.choice("format", &[("json", Form::Json), ("csv", Form::Csv)], Form::Json);
    Ok((asked, more.done(form)?))
}

fn page(site: &Site, what: What, parameters: Parameters, uri: &Uri, headers: &HeaderMap) -> Response {
    let made = parsed(parameters, Asked::parse)
        .and_then(|asked| site.held.get_or_try(&uri.to_string(), || what.render(site, &asked, Form::Page)));
    answer_or_refuse(site, made, headers)
}

fn twin(site: &Site, what: What, parameters: Parameters, uri: &Uri, headers: &HeaderMap) -> Response {
    let made = parsed(parameters, parse_api)
        .and_then(|(asked, form)| site.held.get_or_try(&format!("/api/v1{uri}"), || what.render(site, &asked, form)));
    answer_or_problem(made, headers)
}

/// `/explorer`
pub async fn home(State(site): Shared, asked: Parameters, uri: Uri, headers: HeaderMap) -> Response {
    page(&site, What::Home, asked, &uri, &headers)
}

/// `/explorer/all-services`
pub async fn all(State(site): Shared, asked: Parameters, uri: Uri, headers: HeaderMap) -> Response {
    page(&site, What::All, asked, &uri, &headers)
}

/// `/explorer/high-volume`
pub async fn high(State(site): Shared, asked: Parameters, uri: Uri, headers: HeaderMap) -> Response {
    page(&site, What::HighVolume, asked, &uri, &headers)
}

/// `/explorer/search`
pub async fn search(State(site): Shared, asked: Parameters, uri: Uri, headers: HeaderMap) -> Response {
    page(&site, What::Search, asked, &uri, &headers)
}

/// `/explorer/treemap`
pub async fn treemap(State(site): Shared, asked: Parameters, uri: Uri, headers: HeaderMap) -> Response {
    page(&site, What::Treemap, asked, &uri, &headers)
}

/// `/api/v1/explorer`
pub async fn home_api(State(site): Shared, asked: Parameters, uri: Uri, headers: HeaderMap) -> Response {
    twin(&site, What::Home, asked, &uri, &headers)
}

/// `/api/v1/explorer/all-services`
pub async fn all_api(State(site): Shared, asked: Parameters, uri: Uri, headers: HeaderMap) -> Response {
    twin(&site, What::All, asked, &uri, &headers)
}

/// `/api/v1/explorer/high-volume`
pub async fn high_api(State(site): Shared, asked: Parameters, uri: Uri, headers: HeaderMap) -> Response {
    twin(&site, What::HighVolume, asked, &uri, &headers)
}

/// `/api/v1/explorer/search`
pub async fn search_api(State(site): Shared, asked: Parameters, uri: Uri, headers: HeaderMap) -> Response {
    twin(&site, What::Search, asked, &uri, &headers)
}

/// `/api/v1/explorer/treemap`
pub async fn treemap_api(State(site): Shared, asked: Parameters, uri: Uri, headers: HeaderMap) -> Response {
    twin(&site, What::Treemap, asked, &uri, &headers)
}

/// `/departments/{id}`
pub async fn department(
    State(site): Shared,
    Path(id): Path<String>,
    asked: Parameters,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let Some(department) = site.world.catalogue.department_by_id(&id) else {
        return not_found(&site, &format!("department called “{id}”"));
    };
    let made = parsed(asked, Asked::parse).and_then(|asked| {
        site.held.get_or_try(&uri.to_string(), || {
            let page = site.department_page(department, &asked)?;
            Ok(Rendered::new(HTML, views::lists::department_page(&page)))
        })
    });
    answer_or_refuse(&site, made, &headers)
}

/// `/api/v1/departments/{id}`
pub async fn department_api(
    State(site): Shared,
    Path(id): Path<String>,
    asked: Parameters,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let Some(department) = site.world.catalogue.department_by_id(&id) else {
        return Problem::not_found(&format!("department {id:?}")).into_response();
    };
    let made = parsed(asked, parse_api).and_then(|(asked, form)| {
        site.held.get_or_try(&format!("/api/v1{uri}"), || {
            let page = site.department_page(department, &asked)?;
            Ok(shown(form, &page, String::new, || page.stated.as_ref().map(body_csv).unwrap_or_default()))
        })
    });
    answer_or_problem(made, &headers)
}

fn body_csv(stated: &BodyStated) -> String {
    pages::services_csv(&stated.services, stated.stated_as_of_ms)
}

fn agency_answer(site: &Site, id: &str, asked: &Asked, form: Form) -> Result<Rendered, Vec<Broken>> {
    let agency = site.world.catalogue.agency_by_id(id);
    let context = site.context();
    let page = site.explore(asked, |explorer| agency.and_then(|agency| explorer.agency(context, agency)))?;
    let page = page.ok_or_else(|| vec![Broken::new("id", "is the id of an agency")])?;
    Ok(shown(form, &page, || pages::agency_page(&page), || body_csv(&page.stated)))
}

/// `/agencies/{id}`
pub async fn agency(
    State(site): Shared,
    Path(id): Path<String>,
    asked: Parameters,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    if site.world.catalogue.agency_by_id(&id).is_none() {
        return not_found(&site, &format!("agency called “{id}”"));
    }
    let made = parsed(asked, Asked::parse)
        .and_then(|asked| site.held.get_or_try(&uri.to_string(), || agency_answer(&site, &id, &asked, Form::Page)));
    answer_or_refuse(&site, made, &headers)
}

/// `/api/v1/agencies/{id}`
pub async fn agency_api(
    State(site): Shared,
    Path(id): Path<String>,
    asked: Parameters,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    if site.world.catalogue.agency_by_id(&id).is_none() {
        return Problem::not_found(&format!("agency {id:?}")).into_response();
    }
    let made = parsed(asked, parse_api).and_then(|(asked, form)| {
        site.held.get_or_try(&format!("/api/v1{uri}"), || agency_answer(&site, &id, &asked, form))
    });
    answer_or_problem(made, &headers)
}

/// Which of the values that were stated.
#[derive(Clone, Copy)]
enum Which<'a> {
    All,
    Revised,
    Of(&'a Service),
}

fn values(site: &Site, asked: Parameters, headers: &HeaderMap, which: Which<'_>) -> Response {
    // Large and rarely asked for: not held.
    let made = parsed(asked, parse_api).and_then(|(asked, form)| {
        let values = site.explore(&asked, |explorer| match which {
            Which::All => explorer.values(),
            Which::Revised => explorer.revisions(),
            Which::Of(service) => explorer.values_of(service),
        })?;
        Ok(shown(form, &values, String::new, || values.csv()))
    });
    answer_or_problem(made, headers)
}

/// `/api/v1/explorer/values`
pub async fn values_api(State(site): Shared, asked: Parameters, headers: HeaderMap) -> Response {
    values(&site, asked, &headers, Which::All)
}

/// `/api/v1/explorer/revisions`
pub async fn revisions_api(State(site): Shared, asked: Parameters, headers: HeaderMap) -> Response {
    values(&site, asked, &headers, Which::Revised)
}

/// `/api/v1/services/{id}/stated`
pub async fn service_api(
    State(site): Shared,
    Path(id): Path<String>,
    asked: Parameters,
    headers: HeaderMap,
) -> Response {
    let Some(service) = site.world.catalogue.service_by_id(&id) else { return no_service(&id) };
    values(&site, asked, &headers, Which::Of(service))
}
