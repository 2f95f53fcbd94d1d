//! Events → rows of tables, as `schemas/` declares them.
//!
//! Owns tables, views, columns and time. Bytes are `decode`'s, queries are `rules`'. Called by
//! `pipeline::engine`.

pub mod columns;
pub mod condition;
pub mod given;
pub mod layout;
pub mod projection;
pub mod schema;
pub mod time;
