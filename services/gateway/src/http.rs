//! The one port for everybody: addresses, headers of safety, and the connections.
//!
//! Invariant: a connection has a bounded time for the head of a request, and there is a bounded number of them. Every
//! answer carries the headers of safety. It never knows what an answer holds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use runtime::shutdown::Shutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::config;
use crate::metrics::Answered;
use crate::site::Site;
use crate::{api, audit, explore, govuk, live, notes, pages};

/// Nothing from elsewhere, nothing inline, in nobody's frame.
const POLICY: &str =
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'";
/// For requests that are under way at the end.
const FAREWELL: Duration = Duration::from_secs(3);
/// After an error that is not of one connection, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// All addresses.
pub fn router(site: Arc<Site>) -> Router {
    let api = Router::new()
        .route("/overview", get(api::overview))
        .route("/wall", get(api::wall))
        .route("/services", get(api::services))
        .route("/services/{id}", get(api::service))
        .route("/services/{id}/series", get(api::series))
        .route("/services/{id}/failures", get(api::failures))
        .route("/compare", get(api::compare))
        .route("/services/{id}/stated", get(explore::service_api))
        .route("/departments/{id}", get(explore::department_api))
        .route("/agencies/{id}", get(explore::agency_api))
        .route("/explorer", get(explore::home_api))
        .route("/explorer/all-services", get(explore::all_api))
        .route("/explorer/high-volume", get(explore::high_api))
        .route("/explorer/search", get(explore::search_api))
        .route("/explorer/treemap", get(explore::treemap_api))
        .route("/explorer/values", get(explore::values_api))
        .route("/explorer/revisions", get(explore::revisions_api))
        .route("/services/{id}/notes", get(notes::list).post(notes::send))
        .route("/stated/imports", get(api::imports))
        .route("/books", get(api::books))
        .route("/status", get(api::status))
        .route("/audit", get(audit::api))
        .route("/audit.csv", get(audit::csv))
        .route("/audit/receipt", get(audit::receipt_api))
        .route("/govuk", get(govuk::api))
        .route("/govuk.csv", get(govuk::csv))
        .route("/govuk/pages", get(govuk::history_api))
        .route("/govuk/pages.csv", get(govuk::history_csv))
        .fallback(api::nowhere);
    Router::new()
        .route("/", get(pages::overview))
        .route("/services", get(pages::services))
        .route("/services/{id}", get(pages::service))
        .route("/compare", get(pages::compare))
        .route("/departments/{id}", get(explore::department))
        .route("/agencies/{id}", get(explore::agency))
        .route("/explorer", get(explore::home))
        .route("/explorer/all-services", get(explore::all))
        .route("/explorer/high-volume", get(explore::high))
        .route("/explorer/search", get(explore::search))
        .route("/explorer/treemap", get(explore::treemap))
        .route("/services/{id}/notes", get(notes::page).post(notes::fill))
        .route("/wall", get(pages::wall))
        .route("/audit", get(audit::page))
        .route("/audit/receipt", get(audit::receipt_page))
        .route("/govuk", get(govuk::page))
        .route("/govuk/pages", get(govuk::history_page))
        .route("/about-the-data", get(pages::about))
        .route("/assets/{name}", get(pages::asset))
        .route("/health", get(pages::health))
        .nest("/api/v1", api)
        .fallback(pages::nowhere)
        .with_state(Arc::clone(&site))
        .merge(Router::new().route("/live", get(live::enter)).with_state(Arc::clone(&site.door)))
        .layer(DefaultBodyLimit::max(notes::BODY_MAX))
        .layer(middleware::from_fn_with_state(site, dress))
}

/// Puts the headers of safety on an answer and counts it.
async fn dress(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let kind = match request.uri().path() {
        "/live" => "live",
        path if path.starts_with("/api/") => "api",
        path if path.starts_with("/assets/") => "asset",
        _ => "page",
    };
    let mut answer = next.run(request).await;
    site.metrics.request.observe(began.elapsed().as_secs_f64());
    site.metrics.requests.get_or_create(&Answered { kind, status: answer.status().as_u16() }).inc();
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        return answer;
    }
    let safety: [(HeaderName, &str); 5] = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "strict-origin-when-cross-origin"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    for (name, value) in safety {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
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
                Ok((stream, _)) => {
                    let connection = connection(stream, router.clone(), header_ms_max, shutdown.clone());
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

async fn connection(stream: TcpStream, router: Router, header_ms_max: Duration, mut shutdown: Shutdown) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection is gone already");
        return;
    }
    let service = TowerToHyperService::new(router);
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
