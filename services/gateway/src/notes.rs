//! Notes: the page with its form, the list for programs, and both ways to write one.
//!
//! Invariant: a form of another site is refused before anything is read. What was typed comes back with what is wrong, the token
//! never does.

use std::sync::Arc;

use axum::extract::rejection::{FormRejection, JsonRejection, QueryRejection};
use axum::extract::{Form, Json, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use domain::catalogue::Service;
use domain::statement::note::{Annotation, Kind, Note as Written};
use domain::statement::{Window, draft};
use proto::v1::{self, AnnotateRequest, result::Outcome};
use serde::{Deserialize, Serialize};
use views::notes::{Note, Notes, Typed, Version};

use crate::pages;
use crate::problem::Problem;
use crate::site::{HTML, Rendered, Site};
use crate::stated::answer::department;
use crate::writing::{Error, is_from_here};

const CACHE: &str = "no-cache";

type Shared = State<Arc<Site>>;

/// What the page may be asked for.
#[derive(Debug, Deserialize)]
pub struct Asked {
    written: Option<String>,
}

/// What the form sends.
#[derive(Debug, Deserialize)]
pub struct Filled {
    #[serde(default)]
    day: String,
    #[serde(default)]
    last_day: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    author: String,
    #[serde(default)]
    token: String,
}

/// What a program sends.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sent {
    note_id: Option<String>,
    #[serde(default)]
    metric: String,
    day: String,
    #[serde(default)]
    last_day: String,
    kind: String,
    text: String,
    author: String,
    #[serde(default)]
    withdrawn: bool,
}

/// What a program is answered.
#[derive(Debug, Serialize)]
struct Stored {
    note_id: String,
    receipt: Option<Receipt>,
}

#[derive(Debug, Serialize)]
struct Receipt {
    topic_epoch: u32,
    partition: u32,
    offset: u64,
}

/// `GET /services/{id}/notes`
pub async fn page(
    State(site): Shared,
    Path(id): Path<String>,
    asked: Result<Query<Asked>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let Some(service) = site.world.catalogue.service_by_id(&id) else {
        return pages::not_found(&site, &format!("service called “{id}”"));
    };
    let is_written = asked.is_ok_and(|Query(asked)| asked.written.is_some());
    let typed = Typed { is_written, ..Typed::default() };
    Rendered::new(HTML, views::notes::page(&notes(&site, service), &typed)).answer(&headers, CACHE)
}

/// `GET /api/v1/services/{id}/notes`
pub async fn list(State(site): Shared, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let Some(service) = site.world.catalogue.service_by_id(&id) else {
        return Problem::not_found(&format!("service {id:?}")).into_response();
    };
    Rendered::json(&notes(&site, service)).answer(&headers, CACHE)
}

/// `POST /services/{id}/notes`
pub async fn fill(
    State(site): Shared,
    Path(id): Path<String>,
    headers: HeaderMap,
    form: Result<Form<Filled>, FormRejection>,
) -> Response {
    if !is_from_here(&headers) {
        return refused_page(&site, StatusCode::FORBIDDEN, "This form was sent from another site. Nothing was stored.");
    }
    let Some(service) = site.world.catalogue.service_by_id(&id) else {
        return pages::not_found(&site, &format!("service called “{id}”"));
    };
    let Ok(Form(filled)) = form else {
        return refused_page(&site, StatusCode::BAD_REQUEST, "The form cannot be read. Nothing was stored.");
    };
    let Filled { day, last_day, kind, text, author, token } = filled;
    let request = AnnotateRequest {
        note_id: fresh_id(),
        service_id: id.clone(),
        metric: String::new(),
        day: day.clone(),
        last_day: last_day.clone(),
        kind: kind_number(&kind),
        text: text.clone(),
        author: author.clone(),
        withdrawn: false,
        dry_run: false,
    };
    let (status, wrong) = match site.writing.annotate(&token, request, runtime::clock::now_ms()).await {
        Ok(v1::Result { outcome: Some(Outcome::Accepted(_)) }) => {
            return Redirect::to(&format!("/services/{id}/notes?written=1")).into_response();
        }
        Ok(v1::Result { outcome: Some(Outcome::Rejected(rejected)) }) => {
            (StatusCode::UNPROCESSABLE_ENTITY, (rejected.field, sentence(&rejected.message)))
        }
        Ok(_) => (StatusCode::SERVICE_UNAVAILABLE, ("text".to_owned(), sentence(&Error::Unavailable.to_string()))),
        Err(error) => (status(&error), ("token".to_owned(), sentence(&error.to_string()))),
    };
    let typed = Typed { day, last_day, kind, text, author, wrong: vec![wrong], is_written: false };
    let page = views::notes::page(&notes(&site, service), &typed);
    (status, [(header::CONTENT_TYPE, HTML), (header::CACHE_CONTROL, "no-store")], page).into_response()
}

/// `POST /api/v1/services/{id}/notes`
pub async fn send(
    State(site): Shared,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Result<Json<Sent>, JsonRejection>,
) -> Response {
    if !is_from_here(&headers) {
        return Problem::refused(StatusCode::FORBIDDEN, "sent from another site").into_response();
    }
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some(token) = bearer.and_then(|value| value.strip_prefix("Bearer ")) else {
        return Problem::refused(StatusCode::UNAUTHORIZED, "authorization: send `Bearer <token>`").into_response();
    };
    let Json(sent) = match body {
        Ok(sent) => sent,
        Err(rejection) => return Problem::refused(rejection.status(), &rejection.body_text()).into_response(),
    };
    let note_id = sent.note_id.unwrap_or_else(fresh_id);
    let request = AnnotateRequest {
        note_id: note_id.clone(),
        service_id: id,
        metric: sent.metric,
        day: sent.day,
        last_day: sent.last_day,
        kind: kind_number(&sent.kind),
        text: sent.text,
        author: sent.author,
        withdrawn: sent.withdrawn,
        dry_run: false,
    };
    match site.writing.annotate(token, request, runtime::clock::now_ms()).await {
        Ok(v1::Result { outcome: Some(Outcome::Accepted(v1::Accepted { receipt })) }) => {
            let receipt = receipt.map(|v1::Receipt { topic_epoch, partition, offset }| Receipt {
                topic_epoch,
                partition,
                offset,
            });
            (StatusCode::CREATED, axum::Json(Stored { note_id, receipt })).into_response()
        }
        Ok(v1::Result { outcome: Some(Outcome::Rejected(rejected)) }) => {
            Problem::refused(StatusCode::UNPROCESSABLE_ENTITY, &rejected.message).into_response()
        }
        Ok(_) => Problem::unavailable(&Error::Unavailable.to_string()).into_response(),
        Err(error) => Problem::refused(status(&error), &error.to_string()).into_response(),
    }
}

/// The notes of a service, for the page, its twin and the service page.
pub fn notes(site: &Site, service: &Service) -> Notes {
    let reading = site.stated.reading();
    let (context, service_ref) = site.compose(|composer| (composer.context(), composer.service_ref(service)));
    let note = |annotation: &Annotation| {
        let (last, before) = annotation.versions().split_last().expect("an annotation has at least one version");
        Note {
            id: last.id.clone(),
            stands: version(site, last),
            is_withdrawn: last.is_withdrawn,
            before: before.iter().map(|note| version(site, note)).collect(),
        }
    };
    Notes {
        context,
        as_of_ms: reading.as_of_ms,
        service: service_ref,
        notes: reading.annotations.history(service.number).iter().map(note).collect(),
    }
}

fn version(site: &Site, note: &Written) -> Version {
    let catalogue = &site.world.catalogue;
    let abbreviation = catalogue.department(note.department).map(|department| department.abbreviation.clone());
    let at = note.written_at_ms;
    let (day, clock) = (views::clock::date(domain::time::Day::at(at)), views::clock::hm(at));
    Version {
        day: note.day.to_string(),
        last_day: note.last_day.to_string(),
        days: Window::new(note.day, note.last_day.next()).map_or_else(String::new, Window::days_in_words),
        kind: note.kind.word(),
        metric: note.metric.and_then(|metric| site.stated.metrics.get(metric)).map(|metric| metric.id.clone()),
        text: note.text.clone(),
        author: note.author.clone(),
        department: abbreviation.unwrap_or_else(|| department(catalogue, note.department)),
        written_at_ms: at,
        written: format!("{day}, {clock}"),
    }
}

/// A name for a note that was typed.
fn fresh_id() -> String {
    let id = format!("{:032x}", rand::random::<u128>());
    debug_assert!(id.len() <= draft::ID_MAX);
    id
}

fn kind_number(word: &str) -> i32 {
    Kind::from_word(word).map_or(0, |kind| kind.number().into())
}

fn status(error: &Error) -> StatusCode {
    match error {
        Error::TooMany => StatusCode::TOO_MANY_REQUESTS,
        Error::Token => StatusCode::UNAUTHORIZED,
        Error::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// With a capital and a full stop.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{}{}.", first.replace('_', " "), letters.as_str().replace('_', " "))
}

fn refused_page(site: &Site, status: StatusCode, message: &str) -> Response {
    let page = views::errors::failed(message, Some(&site.context()));
    (status, [(header::CONTENT_TYPE, HTML), (header::CACHE_CONTROL, "no-store")], page).into_response()
}

/// The longest body of a note, in bytes.
pub const BODY_MAX: usize = 16 * 1_024;
