//! `[alerts.headers]`: what a pipeline adds to the headers of its alerts.
//!
//! Owns where a fault stands in the file; what a header may be is `detect::alert::headers`'s to say. Called by
//! `pipeline::definition`.

use super::PipelineFile;
use crate::detect::alert::headers::{ADDED_MAX, HeaderError, HeaderTemplate};
use crate::diagnostic::{Diagnostic, codes};
use crate::document::{Document, pointer_segment};

/// The headers that are added to alerts, as far as they are sound.
pub(super) fn alert_headers(
    document: &Document<PipelineFile>,
    found: &mut Vec<Diagnostic>,
) -> Vec<HeaderTemplate> {
    let (declared, spans) = (&document.value.alerts.headers, &document.spans);
    if declared.len() > ADDED_MAX {
        let message = format!("{} headers are more than {ADDED_MAX}", declared.len());
        found.push(Diagnostic::new(codes::P010, message).at(spans.key("/alerts/headers")));
    }
    let templates = declared.iter().filter_map(|(name, text)| {
        let fault = |error: HeaderError| {
            let pointer = format!("/alerts/headers/{}", pointer_segment(name));
            found.push(Diagnostic::new(codes::P010, error.to_string()).at(spans.value(&pointer)));
        };
        HeaderTemplate::parse(name, text).map_err(fault).ok()
    });
    templates.collect()
}
