//! The conditions of log sources: whether each is SQL that a rule's WHERE could be.
//!
//! Owns the places of what is wrong with them. What else can be wrong with a declaration is told when it is read, by
//! `normalise::schema::log_source`, which knows no SQL. Called by `cli::check` and `pipeline::load`; `sigma::load` plans
//! the conditions of the routes that rules have.

use crate::diagnostic::{Diagnostic, Location, SourceFile, codes};
use crate::normalise::schema::Catalog;

use super::plan::{self, Tables};
use super::{RuleLimits, sql};

/// All that is wrong with the conditions of the catalogue's log sources.
pub fn check_log_sources(catalog: &Catalog, limits: &RuleLimits) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let bounds = limits.sql.of_declarations();
    let tables = match Tables::new(catalog) {
        Ok(tables) => tables,
        Err(error) => {
            let message = format!("the tables cannot be planned: {error}");
            return vec![Diagnostic::new(codes::Q025, message)];
        }
    };
    for (route, text, place) in catalog.log_sources().conditions() {
        // A declaration of several log sources has its conditions once for each.
        let told = found.iter().any(|told: &Diagnostic| {
            told.location.as_ref().is_some_and(|other| {
                other.file.path == place.file.path
                    && (place.span.start..=place.span.end).contains(&other.span.start)
            })
        });
        let Some(table) = tables.find(&route.table.name).filter(|_| !route.table.incomplete && !told) else {
            continue;
        };
        let head = format!("SELECT event_time FROM {} WHERE ", route.table.name);
        let file = SourceFile::new(&place.file.path, format!("{head}{text}"));
        let mut faults = Vec::new();
        let sound = sql::check(&file, 0..file.text.len(), &tables, &bounds, &mut faults).is_some();
        if sound && let Err(why) = plan::condition(text, &tables, table, &bounds) {
            faults.push(Diagnostic::new(codes::Q022, why));
        }
        found.extend(faults.into_iter().map(|fault| moved(fault, head.len(), place)));
    }
    found
}

/// A fault with its place in the file of the declaration, where `place` is the condition.
fn moved(mut fault: Diagnostic, head: usize, place: &Location) -> Diagnostic {
    let within = fault.location.take().and_then(|location| {
        let length = location.file.text.len().checked_sub(head)?;
        // With escapes in the string the offsets would not be those of the text.
        let span = location.span.start.checked_sub(head)?..location.span.end.checked_sub(head)?;
        (length == place.span.len() && span.end <= length)
            .then(|| place.span.start + span.start..place.span.start + span.end)
    });
    fault.at(Location::new(&place.file, within.unwrap_or_else(|| place.span.clone())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_told_where_it_is_wrong() {
        let declared = |condition: &str| {
            let text = format!(
                "[[logsource]]\ncategory = ['a', 'b']\n[[logsource.route]]\ntable = 'dns_activity'\nwhere = {condition}\n"
            );
            let catalog = Catalog::stock().expect("the stock tables");
            let catalog = catalog.with_log_sources(&[SourceFile::new("s.toml", text)]).expect("sound");
            let found = check_log_sources(&catalog, &RuleLimits::default());
            found.iter().map(|told| format!("{} {}", told.place(), told.code.id)).collect::<Vec<_>>()
        };
        for (condition, expect) in [
            (r#""EventID = 22""#, &[][..]),
            (r#""QueryName LIKE '%a' AND platform IN ('windows')""#, &[]),
            (r#""EventID = 22 AND Queryname = 'a' AND plattform = 'x'""#, &["s.toml:5:47 Q008"]),
            (r#""EventID = ""#, &["s.toml:5:10 Q001"]),
            (r#""EventID = 'x'""#, &["s.toml:5:10 Q022"]),
            (r#""now() > event_time""#, &["s.toml:5:10 Q010"]),
            // The place of the whole when the text is not as it is written.
            (r#""\tplattform = 'x'""#, &["s.toml:5:9 Q008"]),
        ] {
            assert_eq!(declared(condition), expect, "{condition}");
        }
    }

    #[test]
    fn the_stock_conditions_are_sound() {
        let catalog = Catalog::stock().expect("the stock tables");
        let found = check_log_sources(&catalog, &RuleLimits::default());
        assert!(found.is_empty(), "{found:#?}");
        assert!(catalog.log_sources().conditions().count() > 100);
    }
}
