//! Which of the sound rules run.
//!
//! Owns the choice by status. Called by `rules::load`.

use std::path::{Path, PathBuf};

use super::meta::{RuleMeta, RuleStatus};

/// Which rules run, of those that are sound.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// A folder with values for placeholders.
    pub values: Option<PathBuf>,
}

impl Selection {
    /// Why a rule is left out; nothing when it runs.
    pub fn off(&self, meta: &RuleMeta) -> Option<String> {
        matches!(meta.status, RuleStatus::Deprecated | RuleStatus::Unsupported)
            .then(|| format!("its status is {}", meta.status.as_str()))
    }

    /// The folder with values for placeholders.
    pub fn values(&self) -> Option<&Path> {
        self.values.as_deref()
    }
}
