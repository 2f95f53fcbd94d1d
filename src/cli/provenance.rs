//! Where records come from, and so how they are read: the arguments that `scan` and `explain` share.
//!
//! Owns their meaning: a pipeline and one of its sources, or a format with what a pipeline would say of it. Which rules
//! and which records are wanted is the commands'.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::exit::CliError;
use super::values::ValuesArg;
use crate::decode;
use crate::normalise::schema::Catalog;
use crate::normalise::time::ZoneOffset;
use crate::pipeline::definition::Pipeline;
use crate::rules::Selection;

/// The arguments.
#[derive(Debug, clap::Args)]
pub struct Provenance {
    /// A pipeline folder: its tables, rules, sources and organisations.
    #[arg(long)]
    pipeline: Option<PathBuf>,
    /// A format (windows-json, windows-event-json, windows-event-xml, winlogbeat, suricata-eve), or with --pipeline the id of one of its sources.
    #[arg(long)]
    source: Option<String>,
    /// The organisation that the records belong to. Without --pipeline.
    #[arg(long, default_value = "local", conflicts_with = "pipeline")]
    org: String,
    /// A folder with tables/, instead of the built-in ones.
    #[arg(long, conflicts_with = "pipeline")]
    schemas: Option<PathBuf>,
    #[command(flatten)]
    values: ValuesArg,
    /// Zone of times that name none: UTC or an offset such as +09:00.
    #[arg(long, conflicts_with = "pipeline")]
    time_zone: Option<String>,
}

impl Provenance {
    /// The folder that --pipeline names.
    pub fn folder(&self) -> Option<&Path> {
        self.pipeline.as_deref()
    }

    /// The pipeline that is named, or one of the format alone with these rules; none without either.
    pub fn pipeline(&self, rules: &[PathBuf]) -> Result<Option<Pipeline>, CliError> {
        let mut pipeline = match (&self.pipeline, &self.source) {
            (Some(path), _) => Pipeline::load(path)?,
            (None, Some(source)) => self.of_format(source, rules)?,
            (None, None) => return Ok(None),
        };
        self.values.put_into(&mut pipeline.selection)?;
        Ok(Some(pipeline))
    }

    fn of_format(&self, source: &str, rules: &[PathBuf]) -> Result<Pipeline, CliError> {
        let catalog = self.catalog()?;
        let Some(format) = decode::format(source) else {
            let known: Vec<&str> = decode::FORMATS.iter().map(|format| format.name()).collect();
            let known = known.join(", ");
            return Err(CliError::usage(format!("there is no format `{source}`; known: {known}")));
        };
        let zone = self.time_zone.as_deref().map_or(Some(ZoneOffset::UTC), ZoneOffset::parse);
        let zone =
            zone.ok_or_else(|| CliError::usage("--time-zone: write UTC or an offset such as +09:00"))?;
        Ok(Pipeline::of_one_source(format, &self.org, zone, rules.to_vec(), catalog)?)
    }

    /// The tables, where there is no pipeline that has some.
    pub fn catalog(&self) -> Result<Arc<Catalog>, CliError> {
        let catalog = match &self.schemas {
            Some(folder) => Catalog::load(folder)?,
            None => Catalog::stock()?,
        };
        Ok(Arc::new(catalog))
    }

    /// The choice of rules, where there is no pipeline that has one.
    pub fn selection(&self) -> Result<Selection, CliError> {
        let mut selection = Selection::default();
        self.values.put_into(&mut selection)?;
        Ok(selection)
    }

    /// The place of the source among those of the pipeline.
    pub fn source(&self, pipeline: &Pipeline) -> Result<usize, CliError> {
        let Some(wanted) = &self.source else {
            return Err(CliError::usage(
                "which source? Name a format or one of the pipeline's with --source",
            ));
        };
        pipeline.sources.iter().position(|source| *source.id == **wanted).ok_or_else(|| {
            let known: Vec<&str> = pipeline.sources.iter().map(|source| &*source.id).collect();
            CliError::usage(format!("the pipeline has no source `{wanted}`; it has: {}", known.join(", ")))
        })
    }
}
