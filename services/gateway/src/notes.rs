//! Notes: the page with its form, the list for programs, and both ways to write one.
//!
//! Invariant: a form of another site is refused before anything is read. What was typed comes back with what is wrong, the token
//! never does.

use axum::extract::rejection::{FormRejection, JsonRejection};
use axum::extract::{Form, Json, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect};
use domain::catalogue::Service;
use domain::statement::note::{AUTHOR_MAX, Annotation, Kind, Note as Written, TEXT_MAX};
use domain::statement::{Window, draft};
use proto::v1::{self, AnnotateRequest, result::Outcome};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use views::notes::{Note, Notes, Typed, Version};

use crate::answer::{self, Answer, CACHE, Parameters, Shared, parsed};
use crate::problem::Problem;
use crate::rendered::{HTML, Rendered};
use crate::site::Site;
use crate::stated::answer::department;
use crate::writing::{Error, is_from_here};

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

/// A note as a program sends it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sent {
    /// Its name, at most 64 characters; sent again with another text it is a correction, and the old text is kept. Left
    /// out: a new note.
    note_id: Option<String>,
    /// The metric that it speaks of; empty: the service as a whole.
    #[serde(default)]
    metric: String,
    /// The London date that it speaks of.
    #[schemars(extend("format" = "date"))]
    day: String,
    /// The last date, if it speaks of several days.
    #[serde(default)]
    last_day: String,
    /// `release`, `outage`, `deadline` or `other`.
    #[schemars(extend("enum" = ["release", "outage", "deadline", "other"]))]
    kind: String,
    /// What happened: plain text on one line.
    #[schemars(length(min = 1, max = TEXT_MAX))]
    text: String,
    /// Who writes it; shown with the note.
    #[schemars(length(min = 1, max = AUTHOR_MAX))]
    author: String,
    /// Takes the note of this name away.
    #[serde(default)]
    withdrawn: bool,
}

/// The note is stored.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Stored {
    /// Its name, for a correction.
    note_id: String,
    /// Where it is in the log.
    receipt: Option<Receipt>,
}

/// Where a record is.
#[derive(Debug, Serialize, JsonSchema)]
struct Receipt {
    topic_epoch: u32,
    partition: u32,
    offset: u64,
}

/// `GET /services/{id}/notes`
pub async fn page(State(site): Shared, Path(id): Path<String>, asked: Parameters, headers: HeaderMap) -> Answer {
    let service = answer::service(&site, &id)?;
    let is_written = parsed(asked, |asked| asked.choice("written", &[("1", true)], false))?;
    let typed = Typed { is_written, ..Typed::default() };
    Ok(Rendered::new(HTML, views::notes::page(&notes(&site, service), &typed)).answer(&headers, CACHE))
}

/// `GET /api/v1/services/{id}/notes`
pub async fn list(State(site): Shared, Path(id): Path<String>, asked: Parameters, headers: HeaderMap) -> Answer {
    let notes = notes(&site, answer::service(&site, &id)?);
    let form = parsed(asked, answer::Form::read)?;
    Ok(form.render(&notes, String::new, || views::downloads::notes(&notes)).answer(&headers, CACHE))
}

/// `POST /services/{id}/notes`
pub async fn fill(
    State(site): Shared,
    Path(id): Path<String>,
    headers: HeaderMap,
    form: Result<Form<Filled>, FormRejection>,
) -> Answer {
    if !is_from_here(&headers) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "this form was sent from another site; nothing was stored"));
    }
    let service = answer::service(&site, &id)?;
    let Form(filled) = form.map_err(|rejection| unread(rejection.status()))?;
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
            return Ok(Redirect::to(&format!("/services/{id}/notes?written=1")).into_response());
        }
        Ok(v1::Result { outcome: Some(Outcome::Rejected(rejected)) }) => {
            (StatusCode::UNPROCESSABLE_ENTITY, (rejected.field, sentence(&rejected.message)))
        }
        Ok(_) => (StatusCode::SERVICE_UNAVAILABLE, ("text".to_owned(), sentence(&Error::Unavailable.to_string()))),
        Err(error) => (status(&error), ("token".to_owned(), sentence(&error.to_string()))),
    };
    let typed = Typed { day, last_day, kind, text, author, wrong: vec![wrong], is_written: false };
    let page = views::notes::page(&notes(&site, service), &typed);
    Ok((status, [(header::CONTENT_TYPE, HTML), (header::CACHE_CONTROL, "no-store")], page).into_response())
}

/// A body that cannot be read.
fn unread(status: StatusCode) -> Problem {
    let detail = match status {
        StatusCode::PAYLOAD_TOO_LARGE => format!("a note is at most {BODY_MAX} bytes; nothing was stored"),
        _ => "the body is not a form of UTF-8 text; nothing was stored".to_owned(),
    };
    Problem::new(status, detail)
}

/// `POST /api/v1/services/{id}/notes`
pub async fn send(
    State(site): Shared,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Result<Json<Sent>, JsonRejection>,
) -> Answer {
    if !is_from_here(&headers) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "sent from another site"));
    }
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = bearer.and_then(|value| value.strip_prefix("Bearer "));
    let token = token.ok_or_else(|| Problem::new(StatusCode::UNAUTHORIZED, "authorization: send `Bearer <token>`"))?;
    answer::service(&site, &id)?;
    let Json(sent) = body.map_err(|rejection| Problem::new(rejection.status(), rejection.body_text()))?;
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
            Ok((StatusCode::CREATED, axum::Json(Stored { note_id, receipt })).into_response())
        }
        Ok(v1::Result { outcome: Some(Outcome::Rejected(rejected)) }) => {
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, rejected.message))
        }
        Ok(_) => Err(Problem::unavailable(Error::Unavailable.to_string())),
        Err(Error::TooMany) => Err(Problem::too_many(Error::TooMany.to_string(), 60)),
        Err(error) => Err(Problem::new(status(&error), error.to_string())),
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

/// The longest body of a note, in bytes.
pub const BODY_MAX: usize = 16 * 1_024;
