//! The configuration of the process: what it is made of and how it is put together.
//!
//! Owns the layering (defaults, file, environment, `--set`), the checks, and the generated reference. The pipeline
//! folder (sources, rules, sinks) is read elsewhere. Called by `cli`; everything else gets the parts it needs.

pub mod broker;
mod check;
pub mod kafka;
mod keys;
mod layers;
pub mod limits;
pub mod mask;
pub mod oauth;
mod pem;
pub mod reference;
pub mod refused;
pub mod secret;
pub mod sections;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::{Diagnostic, SourceFile, codes, sort};
use crate::document;
use crate::record::wall_clock;

pub use broker::Kafka;
pub use limits::Limits;
pub use sections::{
    Epoch, Http, Input, Lanes, Log, LogFormat, Parking, Rejects, Reload, Shutdown, Transaction,
};

/// The file that is read when none is named and it exists.
pub const DEFAULT_FILE: &str = "noroshi.toml";
/// A configuration file larger than this is refused.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The whole configuration. Every setting has a default, so an empty file is a valid one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How to reach Kafka, and under which names.
    pub kafka: Kafka,
    /// Lanes: each has its own consumer, producer and threads.
    pub lanes: Lanes,
    /// An epoch: what one Kafka transaction holds. It ends at whichever bound is reached first.
    pub epoch: Epoch,
    /// Kafka transactions.
    pub transaction: Transaction,
    /// What is watched of the topics that are read.
    pub input: Input,
    /// A flood of rejects: a source that sends mostly what cannot be read.
    pub rejects: Rejects,
    /// Parking: an organisation whose own output topic may not be written to waits, the others go on.
    pub parking: Parking,
    /// Changed rules, tables and pipelines while the process runs.
    pub reload: Reload,
    /// Every bound. What exceeds one is rejected, cut, paused or counted, never dropped in silence.
    pub limits: Limits,
    /// The HTTP endpoint: `/live`, `/ready`, `/metrics` and `/status`, read-only and without authentication.
    pub http: Http,
    /// Logs, on standard error.
    pub log: Log,
    /// The end of the process.
    pub shutdown: Shutdown,
}

/// What a configuration is put together from; later ones win.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// `--config`: a file that must exist. Without it, [`DEFAULT_FILE`] in `directory` if it exists.
    pub file: Option<PathBuf>,
    /// Where [`DEFAULT_FILE`] is looked for; empty for the current directory.
    pub directory: PathBuf,
    /// Environment variables; only those whose name begins with `NOROSHI__` count.
    pub environment: Vec<(String, String)>,
    /// `--set` pairs, each `section.key=value`.
    pub set: Vec<String>,
}

impl LoadOptions {
    /// The options of this process: its environment, and what the command line named.
    pub fn from_process(file: Option<PathBuf>, set: Vec<String>) -> Self {
        // Variables that are no text are other programs' business, unless their name is ours: then the lossy text
        // fails the check of its setting.
        let environment = std::env::vars_os()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
            .filter(|(name, _)| name.starts_with(layers::PREFIX))
            .collect();
        Self { file, directory: PathBuf::new(), environment, set }
    }

    fn path(&self) -> Option<PathBuf> {
        self.file.clone().or_else(|| {
            let path = self.directory.join(DEFAULT_FILE);
            path.is_file().then_some(path)
        })
    }
}

impl Config {
    /// Puts the configuration together and checks it. All problems come at once, in the order of their places;
    /// none of them carries a secret.
    pub fn load(options: &LoadOptions) -> Result<Self, Vec<Diagnostic>> {
        match options.path() {
            Some(path) => {
                let file = SourceFile::read(&path, FILE_BYTES_MAX).map_err(|found| vec![found])?;
                Self::from_file(&file, options)
            }
            None => Self::layer(None, options),
        }
    }

    /// The same with a file that is already in memory, whatever the options say of one.
    pub fn from_file(file: &Arc<SourceFile>, options: &LoadOptions) -> Result<Self, Vec<Diagnostic>> {
        let mut found = Vec::new();
        let parsed = document::look_at_toml::<serde_json::Value>(file, &mut found);
        let sound = found.is_empty();
        let layered = match &parsed {
            Some(parsed) => Self::layer(Some(parsed.clone()), options),
            None => Err(Vec::new()),
        };
        match layered {
            Ok(config) if sound => return Ok(config),
            Ok(_) => {}
            Err(more) => found.extend(more),
        }
        // Of a key that is given twice only one value is known to the document.
        let known = parsed.as_ref().filter(|_| sound).map(|parsed| (&parsed.value, &parsed.spans));
        mask::mask_all(&mut found, file, known);
        sort(&mut found);
        Err(found)
    }

    /// What is allowed but dangerous in this configuration; for the log at each start.
    pub fn warnings(&self) -> Vec<Diagnostic> {
        check::warnings(self)
    }

    /// The brokers to begin with, for a command that needs one; D004 when none is configured.
    pub fn brokers(&self) -> Result<String, Diagnostic> {
        if self.kafka.bootstrap_servers.is_empty() {
            return Err(Diagnostic::new(codes::D004, "no broker is configured").help(format!(
                "set `kafka.bootstrap_servers` in {}, or {}KAFKA__BOOTSTRAP_SERVERS, or --set \
                 kafka.bootstrap_servers=host:9092",
                Path::new(DEFAULT_FILE).display(),
                layers::PREFIX
            )));
        }
        Ok(self.kafka.bootstrap_servers.join(","))
    }

    /// Whether a command that needs a broker has what it takes: one is configured, and what its clients read from
    /// elsewhere can be read. All faults at once: D004, D001, C003, C006.
    pub fn reachable(&self) -> Result<(), Vec<Diagnostic>> {
        let mut found: Vec<Diagnostic> = self.brokers().err().into_iter().collect();
        found.extend(kafka::unreadable(self, wall_clock() / 1_000));
        if found.is_empty() { Ok(()) } else { Err(found) }
    }

    fn layer(
        file: Option<document::Document<serde_json::Value>>,
        options: &LoadOptions,
    ) -> Result<Self, Vec<Diagnostic>> {
        let (layers, mut found) = layers::collect(file, options);
        match layers.merge() {
            Ok(config) => {
                found.extend(check::run(&config, &layers));
                sort(&mut found);
                if found.is_empty() { Ok(config) } else { Err(found) }
            }
            Err(error) => {
                // With faults in the layers, that the whole cannot be read either says nothing new.
                if found.is_empty() {
                    found.push(error);
                }
                sort(&mut found);
                Err(found)
            }
        }
    }
}

#[cfg(test)]
mod tests;
