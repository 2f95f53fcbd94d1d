//! One look at the files of a pipeline: which there are, and what is in them.
//!
//! Owns the fingerprint by which a change is noticed, on any file system: nothing is subscribed to, so mounted
//! ConfigMaps, editors that rename and network shares are all the same. A file is read again only when its stamp
//! has changed. What a change means is `settling`'s, what is in the files the loaders'. Called by the parent.

use std::collections::HashMap;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

use crate::diagnostic::SourceFile;
use crate::document;
use crate::normalise::schema::Catalog;
use crate::pipeline::definition::{Pipeline, PipelineFile};
use crate::record::hex;
use crate::rules::{self, RuleLimits};

/// A larger file is not read; the loaders refuse it anyway.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// A file that was changed so shortly before a look may change again without another stamp.
const STAMP_TRUSTED: Duration = Duration::from_secs(3);
/// Hexadecimal digits of a fingerprint.
const DIGITS: usize = 16;

/// What the system says of a file without reading it. Links are followed: what counts is what they lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    bytes: u64,
    modified: Option<SystemTime>,
    identity: Identity,
}

/// Which file it is, and when anything of it was changed last, where the system says so.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Identity {
    device: u64,
    number: u64,
    changed: Option<SystemTime>,
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self { bytes: metadata.len(), modified: metadata.modified().ok(), identity: identity(metadata) }
    }

    /// Whether a change after `now` gives another stamp, whatever the resolution of the system's clock.
    fn is_trusted(&self, now: SystemTime) -> bool {
        let latest = self.modified.max(self.identity.changed);
        latest.is_some_and(|latest| now.duration_since(latest).is_ok_and(|age| age > STAMP_TRUSTED))
    }
}

#[cfg(unix)]
fn identity(metadata: &Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt;
    let seconds = u64::try_from(metadata.ctime()).unwrap_or(0);
    let changed = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    let changed = changed.and_then(|time| {
        time.checked_add(Duration::from_nanos(u64::try_from(metadata.ctime_nsec()).unwrap_or(0)))
    });
    Identity { device: metadata.dev(), number: metadata.ino(), changed }
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> Identity {
    Identity { device: 0, number: 0, changed: None }
}

/// A file as it was last read.
struct Known {
    stamp: Stamp,
    /// Whether a change after the reading would show in the stamp.
    trusted: bool,
    content: [u8; 32],
}

/// Where rules, tables and values are, by a `pipeline.toml` of this content.
struct Roots {
    content: Option<[u8; 32]>,
    rules: Vec<PathBuf>,
    schemas: Option<PathBuf>,
    values: Option<PathBuf>,
}

/// Looks at the files of one pipeline.
pub struct Looker {
    pipeline: PathBuf,
    limits: RuleLimits,
    known: HashMap<PathBuf, Known>,
    roots: Option<Roots>,
    /// Files that were read, since the beginning.
    read: u64,
}

impl Looker {
    /// For a pipeline folder, or its `pipeline.toml`.
    pub fn new(path: &Path, limits: RuleLimits) -> Self {
        let pipeline = Pipeline::file_of(path);
        Self { pipeline, limits, known: HashMap::new(), roots: None, read: 0 }
    }

    /// The pipeline's file.
    pub fn path(&self) -> &Path {
        &self.pipeline
    }

    /// The fingerprint of all files at `now`: the same when, and only when, the same files have the same contents. What
    /// cannot be read is part of it, so that a fault that goes away is a change as well.
    pub fn look(&mut self, now: SystemTime) -> String {
        let mut before = std::mem::take(&mut self.known);
        let mut digest = Sha256::new();
        let folder = self.pipeline.parent().map(Path::to_owned).unwrap_or_default();
        let pipeline = self.pipeline.clone();
        let content = self.add(&pipeline, &folder, now, &mut before, &mut digest);
        if self.roots.as_ref().is_none_or(|roots| roots.content != content || content.is_none()) {
            self.roots = self.roots_of(content).or(self.roots.take());
        }
        let (mut files, mut faults) = (Vec::new(), Vec::new());
        if let Some(roots) = &self.roots {
            if let Some(schemas) = &roots.schemas {
                match Catalog::files(schemas) {
                    Ok(tables) => files.extend(tables),
                    Err(fault) => faults.push(fault),
                }
            }
            if let Some(values) = &roots.values {
                files.extend(texts(values));
            }
            let (rules, more) = rules::files(&roots.rules, &self.limits);
            files.extend(rules);
            faults.extend(more);
        }
        for file in files {
            self.add(&file, &folder, now, &mut before, &mut digest);
        }
        for fault in faults {
            field(&mut digest, fault.message.as_bytes());
        }
        let mut text = hex(&digest.finalize());
        text.truncate(DIGITS);
        text
    }

    /// Adds a file to the fingerprint; the hash of its content when it can be read.
    fn add(
        &mut self,
        path: &Path,
        folder: &Path,
        now: SystemTime,
        before: &mut HashMap<PathBuf, Known>,
        digest: &mut Sha256,
    ) -> Option<[u8; 32]> {
        // Relative to the folder: processes on other machines then show the same fingerprint.
        let name = path.strip_prefix(folder).unwrap_or(path);
        field(digest, name.as_os_str().as_encoded_bytes());
        let known = std::fs::metadata(path).and_then(|metadata| {
            let stamp = Stamp::of(&metadata);
            if let Some(known) = before.remove(path).filter(|known| known.trusted && known.stamp == stamp) {
                return Ok(known);
            }
            self.read += 1;
            let content = if stamp.bytes > FILE_BYTES_MAX {
                Sha256::digest(stamp.bytes.to_be_bytes()).into()
            } else {
                Sha256::digest(std::fs::read(path)?).into()
            };
            Ok(Known { trusted: stamp.is_trusted(now), stamp, content })
        });
        match known {
            Ok(known) => {
                let content = known.content;
                field(digest, &content);
                self.known.insert(path.to_owned(), known);
                Some(content)
            }
            Err(error) => {
                field(digest, error.kind().to_string().as_bytes());
                None
            }
        }
    }

    /// What `pipeline.toml` says of where the others are; nothing when it cannot be read.
    fn roots_of(&self, content: Option<[u8; 32]>) -> Option<Roots> {
        let file = SourceFile::read(&self.pipeline, FILE_BYTES_MAX).ok()?;
        let document = document::look_at_toml::<PipelineFile>(&file, &mut Vec::new())?;
        let folder = self.pipeline.parent().map(Path::to_owned).unwrap_or_default();
        let rules = document.value.rules.iter().map(|path| folder.join(path)).collect();
        let schemas = document.value.schemas.as_ref().map(|path| folder.join(path));
        let values = document.value.values.as_ref().map(|path| folder.join(path));
        Some(Roots { content, rules, schemas, values })
    }
}

/// The files with values of placeholders, by name.
fn texts(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    paths
}

/// With its length before it: `ab` and `c` are not `a` and `bc`.
fn field(digest: &mut Sha256, bytes: &[u8]) {
    digest.update((bytes.len() as u64).to_be_bytes());
    digest.update(bytes);
}

#[cfg(test)]
#[path = "look/tests.rs"]
mod tests;
