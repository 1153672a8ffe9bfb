//! The addresses of the Transactions Explorer, and of departments and agencies.
//!
//! Invariant: a page, its JSON and its CSV are made by one function from one value. It never decides what a figure is.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, Uri};
use axum::routing::{MethodRouter, get};
use domain::source::ServiceNumber;
use views::ask::{self, Broken};
use views::explorer::{self as pages, Asked};
use views::figures::{BodyStated, ExplorerList};

use crate::answer::{self, Answer, CACHE, Form, Parameters, Shared, parsed};
use crate::explorer::{CountedLive, Explorer};
use crate::problem::Problem;
use crate::rendered::{Held, Rendered};
use crate::site::Site;

/// Which of the Explorer's own addresses.
#[derive(Debug, Clone, Copy)]
pub enum What {
    /// The first page.
    Home,
    /// Everything by department or by service.
    All,
    /// The largest.
    HighVolume,
    /// What words find.
    Search,
    /// By area.
    Treemap,
}

impl What {
    /// Its path, of the page and under `/api/v1`.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Home => "/explorer",
            Self::All => "/explorer/all-services",
            Self::HighVolume => "/explorer/high-volume",
            Self::Search => "/explorer/search",
            Self::Treemap => "/explorer/treemap",
        }
    }

    /// Where its answers are held: the first page has live figures.
    const fn held(self, site: &Site) -> &Held {
        if matches!(self, Self::Home) { &site.held } else { &site.explored }
    }

    /// The one way to make an answer.
    fn render(self, site: &Site, asked: &Asked, form: Form) -> Result<Rendered, Problem> {
        let context = site.context();
        match self {
            Self::Home => {
                let counted = counted(site);
                let home = site.explore(asked, |explorer| explorer.home(context, counted))?;
                let csv = || pages::departments_csv(&home.departments, home.stated_as_of_ms);
                Ok(form.render(&home, || pages::home_page(&home), csv))
            }
            Self::Treemap => {
                let map = site.explore(asked, |explorer| explorer.treemap(context))?;
                let map = map.ok_or_else(|| vec![Broken::new("department", "is the id of a department")])?;
                let csv = || pages::treemap_csv(&map.map, map.stated_as_of_ms);
                Ok(form.render(&map, || pages::map_page(&map), csv))
            }
            Self::All | Self::HighVolume | Self::Search => {
                let make = |explorer: &Explorer<'_>| match self {
                    Self::HighVolume => explorer.high_volume_list(context),
                    Self::Search => explorer.search(context),
                    _ => explorer.all_services(context),
                };
                let list = site.explore(asked, make)?;
                Ok(form.render(&list, || pages::list_page(&list, self.path()), || list_csv(&list)))
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

/// What a program asks for: the question, and JSON or CSV.
pub fn asked(asked: &mut ask::Asked<'_>) -> (Asked, Form) {
    (Asked::read(asked), Form::read(asked))
}

/// The question of a page, or of a program.
fn read(parameters: Parameters, form: Form) -> Result<(Asked, Form), Problem> {
    match form {
        Form::Page => Ok((parsed(parameters, Asked::read)?, Form::Page)),
        _ => parsed(parameters, asked),
    }
}

/// One of the Explorer's own addresses, as a page or for programs.
pub fn at(what: What, form: Form) -> MethodRouter<Arc<Site>> {
    get(move |State(site): Shared, asked: Parameters, uri: Uri, headers: HeaderMap| async move {
        let (asked, form) = read(asked, form)?;
        let made =
            what.held(&site).get_or_try(&format!("{}{uri}", form.place()), || what.render(&site, &asked, form))?;
        Ok::<_, Problem>(made.answer(&headers, CACHE))
    })
}

/// Who owns services.
#[derive(Debug, Clone, Copy)]
pub enum Body {
    /// A ministry.
    Department,
    /// A part of one.
    Agency,
}

impl Body {
    fn render(self, site: &Site, id: &str, asked: &Asked, form: Form) -> Result<Rendered, Problem> {
        match self {
            Self::Department => {
                let page = site.department_page(answer::department(site, id)?, asked)?;
                let csv = || page.stated.as_ref().map(body_csv).unwrap_or_default();
                Ok(form.render(&page, || views::lists::department_page(&page), csv))
            }
            Self::Agency => {
                let (agency, context) = (answer::agency(site, id)?, site.context());
                let page = site.explore(asked, |explorer| explorer.agency(context, agency))?;
                let page = page.ok_or_else(|| Problem::not_found(&format!("agency called “{id}”")))?;
                Ok(form.render(&page, || pages::agency_page(&page), || body_csv(&page.stated)))
            }
        }
    }
}

/// `/departments/{id}` or `/agencies/{id}`, as a page or for programs.
pub fn body(body: Body, form: Form) -> MethodRouter<Arc<Site>> {
    get(
        move |State(site): Shared, Path(id): Path<String>, asked: Parameters, uri: Uri, headers: HeaderMap| async move {
            let (asked, form) = read(asked, form)?;
            let held = if matches!(body, Body::Agency) { &site.explored } else { &site.held };
            let made = held.get_or_try(&format!("{}{uri}", form.place()), || body.render(&site, &id, &asked, form))?;
            Ok::<_, Problem>(made.answer(&headers, CACHE))
        },
    )
}

fn body_csv(stated: &BodyStated) -> String {
    pages::services_csv(&stated.services, stated.stated_as_of_ms)
}

/// Which of the values that were stated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Which {
    All,
    Revised,
    Of(ServiceNumber),
}

impl Which {
    fn render(self, site: &Site, form: Form) -> Result<Rendered, Problem> {
        let values = site.explore(&Asked::default(), |explorer| match self {
            Self::All => explorer.values(),
            Self::Revised => explorer.revisions(),
            Self::Of(service) => explorer.values_of(service),
        })?;
        Ok(form.render(&values, String::new, || values.csv()))
    }
}

async fn download(site: &Arc<Site>, parameters: Parameters, headers: &HeaderMap, which: Which) -> Answer {
    let form = parsed(parameters, Form::read)?;
    let (key, of) = (format!("{} {which:?} {form:?}", site.stated.reading().edition), Arc::clone(site));
    // Long work: not on the threads that serve everybody.
    let make = async move {
        let made = tokio::task::spawn_blocking(move || which.render(&of, form).map(Rendered::zipped));
        made.await.expect("making it does not panic")
    };
    Ok(site.downloads.get_or(key, make).await?.answer(headers, CACHE))
}

/// `/api/v1/explorer/values`
pub async fn values_api(State(site): Shared, asked: Parameters, headers: HeaderMap) -> Answer {
    download(&site, asked, &headers, Which::All).await
}

/// `/api/v1/explorer/revisions`
pub async fn revisions_api(State(site): Shared, asked: Parameters, headers: HeaderMap) -> Answer {
    download(&site, asked, &headers, Which::Revised).await
}

/// `/api/v1/services/{id}/stated`
pub async fn service_api(State(site): Shared, Path(id): Path<String>, asked: Parameters, headers: HeaderMap) -> Answer {
    let which = Which::Of(answer::service(&site, &id)?.number);
    Ok(which.render(&site, parsed(asked, Form::read)?)?.answer(&headers, CACHE))
}
