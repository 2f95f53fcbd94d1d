//! What is fed in, and what must come out: the pipeline, its records, and a naive evaluator of the one rule.
//!
//! Owns the knowledge of which record must alert. The evaluator shares nothing with the engine: it parses with
//! serde_json and compares two fields.

use std::rc::Rc;
use std::sync::{Arc, LazyLock};

use super::group::Tp;
use super::rng::Rng;
use crate::diagnostic::SourceFile;
use crate::pipeline::definition::Pipeline;
use crate::pipeline::engine::Compiled;
use crate::rules::{self, RuleLimits, RuleSet};
use crate::sink::Output;

const PIPELINE: &str = r#"
name = "sim"
rules = []
[[organisation]]
id = "power"
name = "Power"
[[organisation]]
id = "rail"
name = "Rail"
[[source]]
id = "power"
organisation = "power"
topics = ["in.power"]
format = "windows-json"
start = "earliest"
[[source]]
id = "rail"
organisation = "rail"
topics = ["in.rail"]
format = "windows-json"
start = "latest"
[alerts]
topic = "alerts.{org_id}"
[rejects]
topic = "dead.{org_id}"
"#;

const RULE: &str = "/*---
id: 2f0f6ff1-0a33-4f3e-9f0e-5a5f6b6f2a11
title: A beacon
description: The script calls home.
status: test
level: high
tags: [attack.execution, attack.t1059]
author: Noroshi project
date: \"2026-11-23\"
falsepositives: [None known.]
entity: [ScriptBlockText]
tests:
  - name: one
    given:
      - {EventID: 4104, ScriptBlockText: 'beacon x'}
    expect:
      - {ScriptBlockText: 'beacon x'}
---*/
SELECT ScriptBlockText
FROM   script_activity
WHERE  EventID = 4104 AND starts_with(ScriptBlockText, 'beacon ')
";

/// The pipeline with its rule, compiled once for all seeds.
pub(super) static COMPILED: LazyLock<Arc<Compiled>> = LazyLock::new(|| {
    let file = SourceFile::new("pipeline.toml", PIPELINE);
    let pipeline = Pipeline::from_text(&file).expect("the pipeline");
    let rule = SourceFile::new("beacon.sql", RULE);
    let loaded = rules::load_files(&[rule], &pipeline.catalog, &RuleLimits::default());
    assert!(!loaded.has_errors(), "{:?}", loaded.diagnostics);
    let rules = Arc::new(RuleSet::new(loaded.rules));
    Arc::new(Compiled::new(Arc::new(pipeline), rules).expect("compiles"))
});

/// The organisations; their input topics are `in.<organisation>`.
pub(super) const ORGANISATIONS: [&str; 2] = ["power", "rail"];

/// What must become of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Must {
    Alert,
    Reject,
    Nothing,
}

/// A record that was fed in.
#[derive(Debug, Clone)]
pub(super) struct Fed {
    pub(super) organisation: &'static str,
    pub(super) sequence: u64,
    pub(super) tp: Tp,
    pub(super) offset: i64,
    pub(super) must: Must,
}

/// A record's bytes; `probe` is one that must alert.
pub(super) fn record(
    rng: &mut Rng,
    organisation: &str,
    sequence: u64,
    probe: bool,
    fat: bool,
) -> Option<Rc<[u8]>> {
    let text = match if probe { 0 } else { rng.below(20) } {
        9 if fat => {
            format!(
                r#"{{"Channel":"Microsoft-Windows-PowerShell/Operational","EventID":4104,"ScriptBlockText":"beacon {organisation}-{sequence}; {FAT}"}}"#
            )
        }
        0..4 => {
            format!(
                r#"{{"Channel":"Microsoft-Windows-PowerShell/Operational","EventID":4104,"ScriptBlockText":"beacon {organisation}-{sequence};"}}"#
            )
        }
        4..6 => format!("broken {organisation}-{sequence};"),
        6 => return None,
        7..9 => format!(r#"{{"Channel":"Elsewhere","EventID":1,"x":"beacon {organisation}-{sequence};"}}"#),
        _ => {
            format!(
                r#"{{"Channel":"Microsoft-Windows-PowerShell/Operational","EventID":4104,"ScriptBlockText":"idle {organisation}-{sequence};"}}"#
            )
        }
    };
    Some(Rc::from(text.into_bytes()))
}

/// Part of a record whose alerts some topics refuse.
const FAT: &str = "fat fat fat";

/// Whether these bytes are of a fat record, or of what came of one.
pub(super) fn is_fat(bytes: &[u8]) -> bool {
    bytes.windows(FAT.len()).any(|window| window == FAT.as_bytes())
}

/// The naive evaluator.
pub(super) fn must(value: Option<&[u8]>) -> Must {
    let Some(bytes) = value else { return Must::Nothing };
    let Ok(event) = serde_json::from_slice::<serde_json::Value>(bytes) else { return Must::Reject };
    let script = event["Channel"] == "Microsoft-Windows-PowerShell/Operational" && event["EventID"] == 4104;
    let beacon = event["ScriptBlockText"].as_str().is_some_and(|text| text.starts_with("beacon "));
    match script && beacon {
        true if is_fat(bytes) => Must::Reject,
        true => Must::Alert,
        false => Must::Nothing,
    }
}

/// What an output is about: its organisation and sequence, and whether it is an alert.
pub(super) fn read(output: &Output) -> Option<(String, u64, Must)> {
    let value = output.value.as_deref()?;
    let must = if output.topic.starts_with("alerts.") { Must::Alert } else { Must::Reject };
    let text = std::str::from_utf8(value).ok()?;
    let fat = must == Must::Alert || is_fat(value);
    let (_, rest) = text.split_once(if fat { "beacon " } else { "broken " })?;
    let (name, _) = rest.split_once(';')?;
    let (organisation, sequence) = name.split_once('-')?;
    Some((organisation.to_owned(), sequence.parse().ok()?, must))
}
