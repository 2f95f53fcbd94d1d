//! ATT&CK's tactics, as Sigma's tags write them.
//!
//! Owns their names and ids. Called by `rules::metadata`, which knows a tag by them, and by `detect::attack`.

/// Enterprise tactics: Sigma's tag, id, name. ATT&CK 19 renamed TA0005 from Defense Evasion to Stealth and split
/// Defense Impairment off; rules of both ages are in use.
pub const ENTERPRISE: &[(&str, &str, &str)] = &[
    ("reconnaissance", "TA0043", "Reconnaissance"),
    ("resource-development", "TA0042", "Resource Development"),
    ("initial-access", "TA0001", "Initial Access"),
    ("execution", "TA0002", "Execution"),
    ("persistence", "TA0003", "Persistence"),
    ("privilege-escalation", "TA0004", "Privilege Escalation"),
    ("stealth", "TA0005", "Stealth"),
    ("defense-evasion", "TA0005", "Defense Evasion"),
    ("defense-impairment", "TA0112", "Defense Impairment"),
    ("credential-access", "TA0006", "Credential Access"),
    ("discovery", "TA0007", "Discovery"),
    ("lateral-movement", "TA0008", "Lateral Movement"),
    ("collection", "TA0009", "Collection"),
    ("command-and-control", "TA0011", "Command and Control"),
    ("exfiltration", "TA0010", "Exfiltration"),
    ("impact", "TA0040", "Impact"),
];

/// Tactics of the matrix for industrial control systems. Most share their names with the enterprise ones.
pub const ICS: &[(&str, &str, &str)] = &[
    ("initial-access", "TA0108", "Initial Access"),
    ("execution", "TA0104", "Execution"),
    ("persistence", "TA0110", "Persistence"),
    ("privilege-escalation", "TA0111", "Privilege Escalation"),
    ("evasion", "TA0103", "Evasion"),
    ("discovery", "TA0102", "Discovery"),
    ("lateral-movement", "TA0109", "Lateral Movement"),
    ("collection", "TA0100", "Collection"),
    ("command-and-control", "TA0101", "Command and Control"),
    ("inhibit-response-function", "TA0107", "Inhibit Response Function"),
    ("impair-process-control", "TA0106", "Impair Process Control"),
    ("impact", "TA0105", "Impact"),
];

/// Whether it is a tactic's name or id after `attack.`: `credential-access`, `credential_access`, `ta0006`.
pub fn is_tactic(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('_', "-");
    let is_id =
        name.strip_prefix("ta").is_some_and(|id| id.len() == 4 && id.bytes().all(|b| b.is_ascii_digit()));
    // A newer ATT&CK may have more of them.
    is_id || ENTERPRISE.iter().chain(ICS).any(|(tag, _, _)| *tag == name)
}
