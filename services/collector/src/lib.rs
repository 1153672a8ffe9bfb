//! gRPC in, Kafka out.
