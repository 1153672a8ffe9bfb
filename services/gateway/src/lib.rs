//! Live topic and ClickHouse in; sockets, pages and read API out.
