//! The gRPC server: its bounds, its services, its end.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use proto::v1::backfill_server::BackfillServer;
use proto::v1::collector_server::CollectorServer;
use proto::v1::statements_server::StatementsServer;
use runtime::shutdown::Shutdown;
use tokio::net::TcpListener;
use tonic::codegen::http::{HeaderValue, Response};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_health::pb::health_server::{Health, HealthServer};
use tower::util::MapResponseLayer;

use crate::backfill;
use crate::config::Config;
use crate::departments::Departments;
use crate::grpc::{Guard, Service};
use crate::publish::Publisher;
use crate::statements;

/// Up to this many times its bound a batch is read, to be refused in words.
const READ_FACTOR: usize = 4;
/// OUT_OF_RANGE and INVALID_ARGUMENT as they stand in a response.
const OUT_OF_RANGE: &str = "11";
const INVALID_ARGUMENT: HeaderValue = HeaderValue::from_static("3");

/// Serves until `shutdown`, and then until the calls under way are answered.
pub(crate) fn run<H: Health>(
    config: &Config,
    listener: TcpListener,
    publisher: Arc<Publisher>,
    departments: Departments,
    health_service: HealthServer<H>,
    shutdown: Shutdown,
) -> anyhow::Result<impl Future<Output = anyhow::Result<()>> + use<H>> {
    let guard = Guard { departments: Arc::new(departments), metrics: publisher.metrics.clone() };
    let bytes_max = config.limits.batch_bytes_max * READ_FACTOR;
    let late = BackfillServer::new(backfill::Service { publisher: Arc::clone(&publisher), shutdown: shutdown.clone() });
    let late = InterceptedService::new(late.max_decoding_message_size(bytes_max), guard.clone());
    let statements = StatementsServer::new(statements::Service::new(Arc::clone(&publisher)));
    let statements = InterceptedService::new(statements.max_decoding_message_size(bytes_max), guard.clone());
    let collector = CollectorServer::new(Service { publisher, shutdown: shutdown.clone() });
    let collector = InterceptedService::new(collector.max_decoding_message_size(bytes_max), guard);
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let mut stop = shutdown;
    let serving = Server::builder()
        .timeout(Duration::from_millis(config.grpc.call_ms_max.into()))
        .max_concurrent_streams(Some(config.grpc.calls_per_connection_max))
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .http2_keepalive_timeout(Some(Duration::from_secs(20)))
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .layer(MapResponseLayer::new(named))
        .add_service(collector)
        .add_service(late)
        .add_service(statements)
        .add_service(health_service)
        .add_service(reflection()?.build_v1()?)
        .add_service(reflection()?.build_v1alpha()?)
        .serve_with_incoming_shutdown(incoming, async move { stop.wait().await });
    Ok(async move { serving.await.context("gRPC") })
}

/// A message that is too long to be read ends in OUT_OF_RANGE; the contract says INVALID_ARGUMENT.
fn named<B>(mut response: Response<B>) -> Response<B> {
    if let Some(code) = response.headers_mut().get_mut("grpc-status")
        && code == OUT_OF_RANGE
    {
        *code = INVALID_ARGUMENT;
    }
    response
}

fn reflection() -> anyhow::Result<tonic_reflection::server::Builder<'static>> {
    Ok(tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET))
}
