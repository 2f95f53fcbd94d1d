//! Sigma rules: YAML of others, compiled to the same plans as SQL rules.
//!
//! Owns what Sigma means. From a document to what runs:
//!
//! ```text
//! parse      the text → rules, filters, correlations; the only module that names the Sigma parser
//! lower      a rule, on one route of its log source → a tree of conditions on columns
//! expression the tree → a DataFusion expression; never through SQL text
//! compile    the expression, with what alerts show → what runs on one table
//! text       the tree → SQL, for people; `rule_files` makes rule files of it
//! ```
//!
//! Which table and which columns a log source means is declared in `schemas/sigma/`, see `normalise::schema::log_source`.
//! `load` puts them together. Called by `rules::load`.

mod ask;
mod compile;
pub mod correlation;
pub mod coverage;
pub mod documents;
pub(in crate::rules) mod expression;
mod fault;
pub mod filter;
mod landmarks;
mod licence;
pub mod load;
pub mod lower;
mod modifiers;
pub mod parse;
mod pattern;
pub mod placeholders;
pub mod rule_files;
pub(in crate::rules) mod text;
pub mod tree;
mod yaml;

#[cfg(test)]
mod tests;
