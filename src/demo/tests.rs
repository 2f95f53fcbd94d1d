//! The demo's pipeline, for the tests of all that runs one.
//!
//! Owns reading what is built into the program; nothing is tested here.

use std::path::Path;
use std::sync::Arc;

use super::{PIPELINE, RULES};
use crate::diagnostic::SourceFile;
use crate::pipeline::definition::Pipeline;
use crate::pipeline::engine::Compiled;
use crate::rules::{self, RuleLimits, RuleSet};

/// The pipeline.
pub fn pipeline() -> Pipeline {
    let file = SourceFile::new("pipelines/demo/pipeline.toml", PIPELINE);
    Pipeline::from_text(&file).expect("the demo's pipeline")
}

/// The pipeline with the stock rules and its own.
pub fn compiled() -> Arc<Compiled> {
    with_its_rules(pipeline())
}

/// The same of a pipeline that was changed.
pub fn with_its_rules(pipeline: Pipeline) -> Arc<Compiled> {
    let files: Vec<_> = RULES.iter().map(|(path, text)| SourceFile::new(Path::new(path), *text)).collect();
    let loaded = rules::load_files(&files, &pipeline.catalog, &RuleLimits::default());
    assert!(!loaded.has_errors(), "{:?}", loaded.diagnostics);
    Arc::new(Compiled::new(Arc::new(pipeline), Arc::new(RuleSet::new(loaded.rules))).expect("compiles"))
}

/// The pipeline without any rule.
pub fn without_rules() -> Arc<Compiled> {
    let compiled = Compiled::new(Arc::new(pipeline()), Arc::new(RuleSet::new(Vec::new())));
    Arc::new(compiled.expect("compiles"))
}
