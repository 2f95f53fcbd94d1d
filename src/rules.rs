//! Detection rules: SQL files with metadata, verified before they may run.
//!
//! Owns reading rule files, refusing what a rule may not do (I-6), and planning the rest. Running the plan
//! is `detect`'s. Called by `cli` and `pipeline`.

pub mod meta;
