//! The one port for everybody: addresses, headers of safety, and the connections.
//!
//! Invariant: a connection has a bounded time for the head of a request, and there is a bounded number of them. Every
//! answer carries the headers of safety, and every error its words. It never knows what an answer holds.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, get};
use axum::{Extension, Router};
use futures::FutureExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use runtime::shutdown::Shutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use views::figures::Context;

use crate::answer::Form;
use crate::config;
use crate::explore::{Body, What};
use crate::limits::{self, Peer};
use crate::metrics::Answered;
use crate::problem::{self, Problem};
use crate::rendered::{self, Rendered};
use crate::site::Site;
use crate::{api, audit, explore, govuk, live, notes, openapi, pages, routes};

/// Nothing from elsewhere, nothing inline, in nobody's frame.
const POLICY: &str =
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'";
/// Bytes of an address.
const ADDRESS_MAX: usize = 8_000;
/// For requests that are under way at the end.
const FAREWELL: Duration = Duration::from_secs(3);
/// After an error that is not of one connection, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// All addresses.
pub fn router(site: Arc<Site>) -> Router {
    let operations = routes::operations();
    let description = Rendered::json(&openapi::description(&operations));
    let bounded = |handler: MethodRouter<Arc<Site>>| {
        handler.layer(middleware::from_fn_with_state(Arc::clone(&site.limits), limits::bound))
    };
    let api = operations.into_iter().fold(Router::new(), |api, operation| {
        let handler = if operation.is_bounded { bounded(operation.handler) } else { operation.handler };
        api.route(operation.path, handler)
    });
    let explorer = [What::Home, What::All, What::HighVolume, What::Search, What::Treemap];
    let explorer =
        explorer.into_iter().fold(Router::new(), |pages, what| pages.route(what.path(), explore::at(what, Form::Page)));
    Router::new()
        .route("/", get(pages::overview))
        .route("/services", get(pages::services))
        .route("/services/{id}", bounded(get(pages::service)))
        .route("/compare", get(pages::compare))
        .route("/departments/{id}", explore::body(Body::Department, Form::Page))
        .route("/agencies/{id}", explore::body(Body::Agency, Form::Page))
        .merge(explorer)
        .route("/services/{id}/notes", bounded(get(notes::page).post(notes::fill)))
        .route("/wall", get(pages::wall))
        .route("/audit", bounded(get(audit::page)))
        .route("/audit/receipt", bounded(get(audit::receipt_page)))
        .route("/audit/receipt/hash", bounded(get(audit::hash_page)))
        .route("/audit/letters", bounded(get(audit::letters::page)))
        .route("/govuk", get(govuk::page))
        .route("/govuk/pages", bounded(get(govuk::history_page)))
        .route("/about-the-data", get(pages::about))
        .route("/assets/{name}", get(pages::asset))
        .route("/health", get(pages::health))
        .nest("/api/v1", api.fallback(api::nowhere))
        .fallback(pages::nowhere)
        .with_state(Arc::clone(&site))
        .merge(Router::new().route("/live", get(live::enter)).with_state(Arc::clone(&site.door)))
        .layer(Extension(description))
        .layer(DefaultBodyLimit::max(notes::BODY_MAX))
        .layer(middleware::from_fn_with_state(site, dress))
}

/// Answers what no handler sees, puts errors into words and the headers of safety on, and counts.
async fn dress(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let kind = match request.uri().path() {
        "/live" => "live",
        "/health" => "health",
        path if path == "/api" || path.starts_with("/api/") => "api",
        path if path.starts_with("/assets/") => "asset",
        _ => "page",
    };
    let accept = (kind == "api").then(|| request.headers().clone());
    let mut answer = answered(request, next).await;
    if let Some(headers) = accept
        && !rendered::is_acceptable(&headers, &answer)
    {
        let detail = "`Accept` excludes the media type of this answer: application/json, or text/csv with `format=csv`";
        answer = Problem::new(StatusCode::NOT_ACCEPTABLE, detail).into_response();
    }
    answer = match kind {
        "live" | "health" => answer,
        "api" => problem::tell(answer, None::<fn() -> Context>),
        _ => problem::tell(answer, Some(|| site.context())),
    };
    site.metrics.request.observe(began.elapsed().as_secs_f64());
    site.metrics.requests.get_or_create(&Answered { kind, status: answer.status().as_u16() }).inc();
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        return answer;
    }
    let safety: [(HeaderName, &str); 6] = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "strict-origin-when-cross-origin"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
    ];
    for (name, value) in safety {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

/// The answer to a request of bounded length; a mistake of ours is an answer too.
async fn answered(request: Request, next: Next) -> Response {
    if request.uri().path_and_query().is_some_and(|asked| asked.as_str().len() > ADDRESS_MAX) {
        let detail = format!("an address is at most {ADDRESS_MAX} bytes");
        return Problem::new(StatusCode::URI_TOO_LONG, detail).into_response();
    }
    let path = request.uri().path().to_owned();
    AssertUnwindSafe(next.run(request)).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!(path, "a handler panicked");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "something is wrong on our side").into_response()
    })
}

/// Serves until it is time to stop, then lets requests under way end.
pub async fn serve(listener: TcpListener, router: Router, config: config::Http, mut shutdown: Shutdown) {
    let places = Arc::new(Semaphore::new(config.connections_max.min(Semaphore::MAX_PERMITS)));
    let header_ms_max = Duration::from_millis(config.header_ms_max);
    let mut connections = JoinSet::new();
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await.expect("the semaphore is never closed");
            (place, listener.accept().await)
        };
        tokio::select! {
            (place, accepted) = accepted => match accepted {
                Ok((stream, peer)) => {
                    let router = (router.clone(), Peer(peer.ip()));
                    let connection = connection(stream, router, header_ms_max, shutdown.clone());
                    connections.spawn(async move {
                        connection.await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
            () = shutdown.wait() => break,
        }
    }
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(FAREWELL, ended).await.is_err() {
        tracing::warn!("requests were still under way at the end");
    }
}

async fn connection(
    stream: TcpStream,
    (router, peer): (Router, Peer),
    header_ms_max: Duration,
    mut shutdown: Shutdown,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection is gone already");
        return;
    }
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(peer);
        router.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_ms_max)
        .max_buf_size(32 * 1024)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let result = tokio::select! {
        result = &mut connection => result,
        () = shutdown.wait() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection ended badly");
    }
}

#[cfg(test)]
mod tests;
