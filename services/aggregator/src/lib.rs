//! Kafka in, ClickHouse and the live topic out.
