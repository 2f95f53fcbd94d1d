//! Tags of a rule → OCSF `attacks[]`.
//!
//! Owns what of them is told and how; the tactics' names are in `rules::tactics`. Technique names change with each ATT&CK
//! release and are left out: the id says it. Called by `detect::alert`.

use serde_json::{Map, Value, json};

use crate::rules::tactics::{ENTERPRISE, ICS};

/// More entries than this are left out of `attacks[]`; all tags stand in `unmapped.noroshi.rule.tags`.
const ATTACKS_MAX: usize = 32;

/// The `attacks[]` of a rule with these tags: one entry for each technique, one for each tactic.
///
/// Tags do not say which technique serves which tactic. Only where there is a single tactic it is put with
/// every technique, else it would be a guess.
pub fn attacks(tags: &[String]) -> Vec<Value> {
    let named: Vec<String> = tags
        .iter()
        .map(|tag| tag.to_ascii_lowercase().replace('_', "-"))
        .filter_map(|tag| tag.strip_prefix("attack.").map(str::to_owned))
        .collect();
    let techniques = distinct(named.iter().filter_map(|name| technique(name)));
    // ICS techniques are T0xxx, so they tell which matrix a shared tactic name means.
    let ics = !techniques.is_empty() && techniques.iter().all(|(id, _)| id.starts_with("T0"));
    let tactics = distinct(named.iter().filter_map(|name| tactic(name, ics)));

    let mut found = Vec::new();
    for (id, sub) in &techniques {
        let mut attack = Map::new();
        if let [only] = tactics.as_slice() {
            attack.insert("tactic".into(), only.clone());
        }
        let url = format!("https://attack.mitre.org/techniques/{id}");
        attack.insert("technique".into(), json!({"uid": id, "src_url": format!("{url}/")}));
        if let Some(sub) = sub {
            let uid = format!("{id}.{sub}");
            attack.insert("sub_technique".into(), json!({"uid": uid, "src_url": format!("{url}/{sub}/")}));
        }
        found.push(Value::Object(attack));
    }
    if techniques.is_empty() || tactics.len() > 1 {
        found.extend(tactics.into_iter().map(|tactic| json!({"tactic": tactic})));
    }
    found.truncate(ATTACKS_MAX);
    found
}

fn distinct<T: PartialEq>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut kept = Vec::new();
    for item in items {
        if kept.len() < ATTACKS_MAX && !kept.contains(&item) {
            kept.push(item);
        }
    }
    kept
}

/// `t1059.001` → (`T1059`, `001`).
fn technique(name: &str) -> Option<(String, Option<String>)> {
    let digits = name.strip_prefix('t')?;
    let (id, sub) = digits.split_once('.').map_or((digits, None), |(id, sub)| (id, Some(sub)));
    let number = |text: &str, length| text.len() == length && text.bytes().all(|b| b.is_ascii_digit());
    (number(id, 4) && sub.is_none_or(|sub| number(sub, 3)))
        .then(|| (format!("T{id}"), sub.map(str::to_owned)))
}

/// `credential-access` or `ta0006` → OCSF's tactic.
fn tactic(name: &str, ics: bool) -> Option<Value> {
    let (first, second) = if ics { (ICS, ENTERPRISE) } else { (ENTERPRISE, ICS) };
    let id = name.strip_prefix("ta").filter(|id| id.len() == 4 && id.bytes().all(|b| b.is_ascii_digit()));
    let known = first.iter().chain(second).find(|(tag, uid, _)| match id {
        Some(id) => uid.strip_prefix("TA") == Some(id),
        None => *tag == name,
    });
    match (known, id) {
        (Some((_, uid, name)), _) => Some(json!({
            "uid": uid, "name": name, "src_url": format!("https://attack.mitre.org/tactics/{uid}/"),
        })),
        (None, Some(id)) => Some(json!({"uid": format!("TA{id}")})),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `tactic/technique/sub_technique` of each entry.
    fn short(tags: &[&str]) -> Vec<String> {
        let tags: Vec<String> = tags.iter().map(|tag| (*tag).to_owned()).collect();
        attacks(&tags)
            .iter()
            .map(|attack| {
                ["tactic", "technique", "sub_technique"]
                    .map(|part| {
                        attack.pointer(&format!("/{part}/uid")).and_then(Value::as_str).unwrap_or("-")
                    })
                    .join("/")
            })
            .collect()
    }

    #[test]
    fn tags_become_attacks() {
        for (tags, expect) in [
            (&["attack.t1059.001"][..], &["-/T1059/T1059.001"][..]),
            (&["attack.t1003", "attack.credential-access"], &["TA0006/T1003/-"]),
            (&["attack.credential_access", "attack.T1003.001"], &["TA0006/T1003/T1003.001"]),
            (&["attack.ta0006"], &["TA0006/-/-"]),
            (&["attack.ta9999"], &["TA9999/-/-"]),
            (
                &["attack.execution", "attack.persistence", "attack.t1053.005"],
                &["-/T1053/T1053.005", "TA0002/-/-", "TA0003/-/-"],
            ),
            (&["attack.stealth"], &["TA0005/-/-"]),
            (&["attack.defense-impairment"], &["TA0112/-/-"]),
            (&["attack.impact", "attack.t0831"], &["TA0105/T0831/-"]),
            (&["attack.impact", "attack.t1486"], &["TA0040/T1486/-"]),
            (&["attack.inhibit-response-function"], &["TA0107/-/-"]),
            (&["attack.t1003", "attack.t1003"], &["-/T1003/-"]),
            (&["attack.s0002", "attack.g0032", "cve.2021-44228", "t1003", "attack.t10", "attack."], &[]),
        ] {
            assert_eq!(short(tags), expect, "{tags:?}");
        }
    }

    #[test]
    fn names_and_links_follow_the_id() {
        let tags = ["attack.credential-access".to_owned(), "attack.t1110.003".to_owned()];
        assert_eq!(
            attacks(&tags),
            [json!({
                "tactic": {
                    "uid": "TA0006", "name": "Credential Access",
                    "src_url": "https://attack.mitre.org/tactics/TA0006/",
                },
                "technique": {"uid": "T1110", "src_url": "https://attack.mitre.org/techniques/T1110/"},
                "sub_technique": {"uid": "T1110.003", "src_url": "https://attack.mitre.org/techniques/T1110/003/"},
            })]
        );
    }

    #[test]
    fn there_are_never_too_many() {
        let tags: Vec<String> = (1000..2000).map(|id| format!("attack.t{id}")).collect();
        assert_eq!(attacks(&tags).len(), ATTACKS_MAX);
    }
}
