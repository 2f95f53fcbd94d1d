//! Tables as they are declared in `schemas/tables/*.toml`, and the catalogue of all of them with Sigma's log sources.
//!
//! Owns the file format, its checks, and the stock tables compiled into the binary. Log sources are [`log_source`]'s. How a declared view is
//! carried out on events is left to `normalise::layout`. Called by `rules` (which tables and columns exist),
//! `normalise::layout`, and `cli`.

mod build;
pub mod feed;
mod file;
pub mod log_source;
pub mod ocsf;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::build::build;
use self::file::TableFile;
use self::log_source::LogSources;
use super::condition::Condition;
use crate::diagnostic::{Diagnostic, SourceFile, codes};
use crate::document;

/// The stock tables: one line each.
const STOCK: &[(&str, &str)] = &[
    ("authentication", include_str!("../../schemas/tables/authentication.toml")),
    ("cloud_api_activity", include_str!("../../schemas/tables/cloud_api_activity.toml")),
    ("detection_finding_in", include_str!("../../schemas/tables/detection_finding_in.toml")),
    ("dns_activity", include_str!("../../schemas/tables/dns_activity.toml")),
    ("file_activity", include_str!("../../schemas/tables/file_activity.toml")),
    ("http_activity", include_str!("../../schemas/tables/http_activity.toml")),
    ("linux_audit", include_str!("../../schemas/tables/linux_audit.toml")),
    ("module_activity", include_str!("../../schemas/tables/module_activity.toml")),
    ("network_activity", include_str!("../../schemas/tables/network_activity.toml")),
    ("process_access", include_str!("../../schemas/tables/process_access.toml")),
    ("process_activity", include_str!("../../schemas/tables/process_activity.toml")),
    ("raw_log", include_str!("../../schemas/tables/raw_log.toml")),
    ("registry_activity", include_str!("../../schemas/tables/registry_activity.toml")),
    ("script_activity", include_str!("../../schemas/tables/script_activity.toml")),
    ("sensor_event", include_str!("../../schemas/tables/sensor_event.toml")),
    ("windows_event", include_str!("../../schemas/tables/windows_event.toml")),
    ("windows_security", include_str!("../../schemas/tables/windows_security.toml")),
];

/// Folder of the tables, in a schemas folder.
const TABLES: &str = "tables";
/// Folder of the log sources of Sigma rules, in a schemas folder.
const SIGMA: &str = "sigma";

/// A schema file larger than this is refused.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ColumnType {
    /// Text; also addresses and identifiers.
    String,
    /// 64-bit integer with sign. Text such as `4624` or `0x1f4` is read.
    Int,
    /// 64-bit floating point.
    Double,
    /// True or false. Text such as `true` or `0` is read.
    Boolean,
    /// Microseconds, UTC.
    Timestamp,
}

/// Time zone of every timestamp column.
pub const UTC: &str = "+00:00";

impl ColumnType {
    /// The name as written in table files.
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Int => "int",
            Self::Double => "double",
            Self::Boolean => "boolean",
            Self::Timestamp => "timestamp",
        }
    }

    /// The Arrow type of its columns.
    pub fn arrow(self) -> DataType {
        match self {
            Self::String => DataType::Utf8View,
            Self::Int => DataType::Int64,
            Self::Double => DataType::Float64,
            Self::Boolean => DataType::Boolean,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())),
        }
    }
}

/// What a column holds, for the law: oversight decides by it who may read what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Category {
    /// Machine information: addresses, ports, paths, codes, commands of the system.
    Machine,
    /// Identifies a person or an account.
    Identifier,
    /// What somebody wrote or said: the content of communication or of a document.
    Content,
    /// A credential.
    Secret,
}

/// An OCSF observable kind; its `type_id` in the alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Observable {
    /// 1
    Hostname,
    /// 2
    IpAddress,
    /// 4
    UserName,
    /// 6
    Url,
    /// 7
    FileName,
    /// 8
    Hash,
    /// 9
    ProcessName,
    /// 10
    ResourceUid,
    /// 11
    Port,
    /// 13
    CommandLine,
    /// 45
    FilePath,
}

impl Observable {
    /// OCSF's `type_id` and its caption.
    pub fn type_id(self) -> (i64, &'static str) {
        match self {
            Self::Hostname => (1, "Hostname"),
            Self::IpAddress => (2, "IP Address"),
            Self::UserName => (4, "User Name"),
            Self::Url => (6, "URL String"),
            Self::FileName => (7, "File Name"),
            Self::Hash => (8, "Hash"),
            Self::ProcessName => (9, "Process Name"),
            Self::ResourceUid => (10, "Resource UID"),
            Self::Port => (11, "Port"),
            Self::CommandLine => (13, "Command Line"),
            Self::FilePath => (45, "File Path"),
        }
    }
}

/// A column of a table.
#[derive(Debug, Clone)]
pub struct Column {
    /// The name; Sigma's and Sysmon's where they have one.
    pub name: String,
    /// Its type.
    pub kind: ColumnType,
    /// What it holds.
    pub description: String,
    /// Its legal category.
    pub category: Category,
    /// Path in an OCSF evidence object, split at the dots.
    pub ocsf: Option<Vec<String>>,
    /// The observable it is.
    pub observable: Option<Observable>,
    /// Its values may be lists, as JSON text (`["a","b"]`): of a Sigma rule, one item that passes is enough.
    pub list: bool,
}

/// How a column is filled from an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Fill {
    /// The first field with a value, then the map, then the default.
    First {
        /// Field paths, in order.
        paths: Vec<String>,
        /// From text to text.
        map: BTreeMap<String, String>,
        /// When there is no value, or `map` lacks it.
        otherwise: Option<String>,
    },
    /// The texts of the fields, joined.
    Join {
        /// Field paths.
        paths: Vec<String>,
        /// What stands between.
        separator: String,
    },
    /// The whole numbers of the fields, added up.
    Sum {
        /// Field paths.
        paths: Vec<String>,
    },
    /// A constant.
    Constant(serde_json::Value),
}

/// From which events of a format rows are made, and how.
#[derive(Debug, Clone)]
pub struct View {
    /// Name of the format.
    pub format: &'static str,
    /// Which events.
    pub condition: Condition,
    /// One for each column of the table.
    pub fills: Vec<Fill>,
}

/// A table.
#[derive(Debug, Clone)]
pub struct Table {
    /// Name.
    pub name: String,
    /// OCSF class.
    pub class_uid: i64,
    /// What a row is.
    pub description: String,
    /// The declared columns, by name.
    pub columns: Vec<Column>,
    /// Where rows come from.
    pub views: Vec<View>,
    /// Its file is faulty: columns or their types may be missing, so what seems wrong with a rule on it may be right.
    pub incomplete: bool,
}

impl Table {
    /// Index of a declared column.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.binary_search_by(|column| column.name.as_str().cmp(name)).ok()
    }

    /// True when events of that format can make rows.
    pub fn is_fed_by(&self, format: &str) -> bool {
        self.views.iter().any(|view| view.format == format)
    }
}

/// The columns that every table has besides its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SystemColumn {
    /// The organisation, from the source declaration.
    OrgId,
    /// The source's id.
    Source,
    /// When it happened.
    EventTime,
    /// When Kafka got it.
    IngestTime,
    /// Topic of the record.
    Topic,
    /// Partition of the record.
    Partition,
    /// Offset of the record.
    Offset,
    /// Index of the event within the record.
    EventIndex,
    /// All values of the event.
    EventText,
}

impl SystemColumn {
    /// All of them, with name, type and description.
    pub const ALL: &[(SystemColumn, &str, ColumnType, &str)] = &[
        (Self::OrgId, "org_id", ColumnType::String, "Organisation that the source belongs to."),
        (Self::Source, "source", ColumnType::String, "Id of the source."),
        (Self::EventTime, "event_time", ColumnType::Timestamp, "When it happened, as the event says."),
        (Self::IngestTime, "ingest_time", ColumnType::Timestamp, "When Kafka received the record."),
        (Self::Topic, "record_topic", ColumnType::String, "Topic of the record."),
        (Self::Partition, "record_partition", ColumnType::Int, "Partition of the record."),
        (Self::Offset, "record_offset", ColumnType::Int, "Offset of the record."),
        (Self::EventIndex, "event_index", ColumnType::Int, "Index of the event within the record, from 0."),
        (Self::EventText, "event_text", ColumnType::String, "All values of the event, each on a line."),
    ];

    /// The system column of that name.
    pub fn named(name: &str) -> Option<(SystemColumn, ColumnType)> {
        Self::ALL.iter().find(|entry| entry.1 == name).map(|entry| (entry.0, entry.2))
    }
}

/// All tables, and which of them hold the log sources of Sigma rules.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    tables: Vec<Arc<Table>>,
    log_sources: Arc<LogSources>,
    /// Tables whose files could not be read at all, by the names of the files.
    unread: Vec<String>,
}

impl Catalog {
    /// The tables and log sources compiled into the binary.
    pub fn stock() -> Result<Self, Vec<Diagnostic>> {
        let mut catalog = Self::from_files(
            STOCK.iter().map(|(name, text)| SourceFile::new(format!("schemas/tables/{name}.toml"), *text)),
        )?;
        let mut found = Vec::new();
        catalog.declare(&log_source::stock(), &mut found);
        if found.is_empty() { Ok(catalog) } else { Err(found) }
    }

    /// The tables of a folder with a `tables/` folder in it, and the log sources of its `sigma/` folder; all that is
    /// wrong with all of them at once. Without `sigma/` they are the stock ones, as far as the folder has the tables and
    /// columns that they name.
    pub fn load(folder: &Path) -> Result<Self, Vec<Diagnostic>> {
        let mut found = Vec::new();
        let catalog = Self::look_at(folder, &mut found);
        if found.is_empty() { Ok(catalog) } else { Err(found) }
    }

    /// The same as far as it can be read, to look at rules with: nothing may run on it when there are faults.
    pub fn look_at(folder: &Path, found: &mut Vec<Diagnostic>) -> Self {
        let mut catalog = Self::default();
        let paths = file::find(&folder.join(TABLES)).unwrap_or_else(|diagnostic| {
            found.push(diagnostic);
            // With no table at all, a rule's table is not known for that reason alone.
            catalog.unread.push("*".to_owned());
            Vec::new()
        });
        for path in paths {
            match SourceFile::read(&path, FILE_BYTES_MAX) {
                Ok(file) => catalog.add(&file, found),
                Err(diagnostic) => {
                    found.push(diagnostic);
                    catalog.unread.extend(stem(&path));
                }
            }
        }
        catalog.tables.sort_by(|a, b| a.name.cmp(&b.name));
        let own = folder.join(SIGMA);
        if own.is_dir() {
            let paths = file::find(&own).unwrap_or_else(|diagnostic| {
                found.push(diagnostic);
                Vec::new()
            });
            let mut files = Vec::new();
            for path in paths {
                match SourceFile::read(&path, FILE_BYTES_MAX) {
                    Ok(file) => files.push(file),
                    Err(diagnostic) => found.push(diagnostic),
                }
            }
            catalog.declare(&files, found);
        } else {
            catalog.log_sources = Arc::new(LogSources::read_as_far(&log_source::stock(), &catalog));
        }
        catalog
    }

    /// The files that declare the tables and log sources of a folder.
    pub fn files(folder: &Path) -> Result<Vec<PathBuf>, Diagnostic> {
        let mut files = file::find(&folder.join(TABLES))?;
        let own = folder.join(SIGMA);
        if own.is_dir() {
            files.extend(file::find(&own)?);
        }
        Ok(files)
    }

    /// Takes the log sources of these files.
    fn declare(&mut self, files: &[Arc<SourceFile>], found: &mut Vec<Diagnostic>) {
        self.log_sources = Arc::new(LogSources::read(files, self, found));
    }

    /// The same tables with the log sources of these texts; all that is wrong with these at once.
    pub fn with_log_sources(mut self, files: &[Arc<SourceFile>]) -> Result<Self, Vec<Diagnostic>> {
        let mut found = Vec::new();
        self.declare(files, &mut found);
        if found.is_empty() { Ok(self) } else { Err(found) }
    }

    /// Tables from texts, without log sources; all that is wrong with all of them at once.
    pub fn from_files(files: impl IntoIterator<Item = Arc<SourceFile>>) -> Result<Self, Vec<Diagnostic>> {
        let mut catalog = Self::default();
        let mut found = Vec::new();
        for file in files {
            catalog.add(&file, &mut found);
        }
        catalog.tables.sort_by(|a, b| a.name.cmp(&b.name));
        if found.is_empty() { Ok(catalog) } else { Err(found) }
    }

    fn add(&mut self, file: &Arc<SourceFile>, found: &mut Vec<Diagnostic>) {
        let before = found.len();
        let document = document::look_at_toml::<TableFile>(file, found);
        let Some(document) = document.filter(|document| !document.spans.is_lost("/table")) else {
            self.unread.extend(stem(&file.path));
            return;
        };
        let mut table = build(&document, found);
        if self.table(&table.name).is_some() {
            found.push(
                Diagnostic::new(codes::S001, format!("the table `{}` is declared twice", table.name))
                    .at(document.spans.value("/table")),
            );
        }
        table.incomplete = found.len() > before;
        self.tables.push(Arc::new(table));
    }

    /// True for a table that may exist, in a file that could not be read.
    pub fn is_unread(&self, name: &str) -> bool {
        self.unread.iter().any(|unread| unread == "*" || unread.eq_ignore_ascii_case(name))
    }

    /// All tables, by name.
    pub fn tables(&self) -> &[Arc<Table>] {
        &self.tables
    }

    /// Where the events of Sigma's log sources are.
    pub fn log_sources(&self) -> &LogSources {
        &self.log_sources
    }

    /// A table by name.
    pub fn table(&self, name: &str) -> Option<&Arc<Table>> {
        self.tables.iter().find(|table| table.name == name)
    }
}

fn stem(path: &Path) -> Option<String> {
    path.file_stem().map(|stem| stem.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests;
