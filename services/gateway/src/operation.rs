//! One address of the read API.

use std::sync::Arc;

use axum::routing::MethodRouter;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use views::ask::{self, Asked, Parameter};

use crate::site::Site;

/// One address under `/api/v1`.
pub struct Operation {
    /// Under `/api/v1`, as the router takes it.
    pub path: &'static str,
    /// What it answers, a sentence.
    pub summary: &'static str,
    /// What it may be asked for.
    pub parameters: Vec<Parameter>,
    /// Those of them that it must be asked for.
    pub required: &'static [&'static str],
    /// Describes the JSON that it answers.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
    /// It costs much, so it is bounded for each client.
    pub is_bounded: bool,
    /// It asks the store, so it answers 503 while the store is away.
    pub is_from_store: bool,
    /// It takes notes besides.
    pub is_written: bool,
    /// Who answers.
    pub handler: MethodRouter<Arc<Site>>,
}

impl Operation {
    /// That answers a value of this type, may be asked for nothing, and costs little.
    pub fn new<T: JsonSchema>(path: &'static str, summary: &'static str, handler: MethodRouter<Arc<Site>>) -> Self {
        Self {
            path,
            summary,
            parameters: Vec::new(),
            required: &[],
            schema: SchemaGenerator::subschema_for::<T>,
            is_bounded: false,
            is_from_store: false,
            is_written: false,
            handler,
        }
    }

    /// It may be asked for what this function reads.
    pub fn asked<T>(self, read: impl FnOnce(&mut Asked<'_>) -> T) -> Self {
        Self { parameters: ask::parameters(read), ..self }
    }

    /// It must be asked for these.
    #[must_use]
    pub fn needing(self, required: &'static [&'static str]) -> Self {
        Self { required, ..self }
    }

    /// It asks the store.
    #[must_use]
    pub fn reading_the_store(self) -> Self {
        Self { is_from_store: true, ..self.costly() }
    }

    /// It takes notes besides.
    #[must_use]
    pub fn written(self) -> Self {
        Self { is_written: true, ..self.costly() }
    }

    /// It costs much.
    #[must_use]
    pub fn costly(self) -> Self {
        Self { is_bounded: true, ..self }
    }
}
