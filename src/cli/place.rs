//! What a command works on: a pipeline, and the configuration of the process.
//!
//! Owns the three options that `run`, `topics` and `dlq` share, so that they read alike everywhere.

use std::path::PathBuf;

use super::exit::CliError;
use crate::config::{Config, LoadOptions};

/// A pipeline and a configuration.
#[derive(Debug, clap::Args)]
pub struct Place {
    /// A pipeline folder.
    #[arg(long)]
    pub pipeline: PathBuf,
    /// A configuration file.
    #[arg(long)]
    config: Option<PathBuf>,
    /// One setting, as section.key=value; may be repeated.
    #[arg(long)]
    set: Vec<String>,
}

impl Place {
    /// The configuration, put together and checked.
    pub fn config(&self) -> Result<Config, CliError> {
        Ok(Config::load(&LoadOptions::from_process(self.config.clone(), self.set.clone()))?)
    }
}
