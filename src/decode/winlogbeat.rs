//! `winlogbeat`: Windows events as Winlogbeat and Elastic Agent write them, with the event's data under `winlog`.
//!
//! Owns where the names of the flat form are. Winlogbeat's modules move some of the data to fields of the Elastic Common
//! Schema; these are looked at where `winlog.event_data` lacks a name.

use super::{Format, Place, Places, TimeField};

/// The format.
pub struct Winlogbeat;

impl Format for Winlogbeat {
    fn name(&self) -> &'static str {
        "winlogbeat"
    }

    fn description(&self) -> &'static str {
        "Winlogbeat and Elastic Agent: the event's data under `winlog.event_data`, the rest in Elastic Common Schema"
    }

    fn time_fields(&self) -> &'static [TimeField] {
        &[
            // Sysmon's own time, always UTC.
            TimeField { path: "UtcTime", utc: true },
            TimeField { path: "winlog.time_created", utc: true },
            // The event's time; `event.created` is when Winlogbeat read it.
            TimeField { path: "@timestamp", utc: true },
            TimeField { path: "event.created", utc: true },
        ]
    }

    fn mark(&self) -> &'static str {
        "winlog.event_id"
    }

    fn places(&self) -> Option<Places> {
        Some(places)
    }
}

/// Names of the flat form that are no data of the event.
const SYSTEM: &[(&str, &[&str])] = &[
    ("EventID", &["winlog.event_id.id", "winlog.event_id", "event.code"]),
    ("Channel", &["winlog.channel"]),
    ("SourceName", &["winlog.provider_name", "event.provider"]),
    ("Provider_Name", &["winlog.provider_name", "event.provider"]),
    ("Computer", &["winlog.computer_name", "host.name"]),
    ("Hostname", &["winlog.computer_name", "host.name"]),
    ("Level", &["log.level"]),
    ("Message", &["message"]),
];

/// Where else than in the event's data a name may be.
const ELSEWHERE: &[(&str, &[&str])] = &[
    ("AccountName", &["winlog.user.name"]),
    ("ActivityID", &["winlog.activity_id"]),
    ("CommandLine", &["process.command_line"]),
    ("Company", &["process.pe.company", "file.pe.company"]),
    ("CurrentDirectory", &["process.working_directory"]),
    ("Description", &["process.pe.description", "file.pe.description"]),
    ("DestinationHostname", &["destination.domain"]),
    ("DestinationIp", &["destination.ip"]),
    ("DestinationPort", &["destination.port"]),
    ("Domain", &["winlog.user.domain"]),
    ("EventRecordID", &["winlog.record_id"]),
    ("ExecutionProcessID", &["winlog.process.pid"]),
    ("ExecutionThreadID", &["winlog.process.thread.id"]),
    ("FileVersion", &["process.pe.file_version", "file.pe.file_version"]),
    ("Image", &["process.executable"]),
    ("ImageLoaded", &["file.path"]),
    ("IpAddress", &["source.ip"]),
    ("IpPort", &["source.port"]),
    ("Keywords", &["winlog.keywords"]),
    ("MessageNumber", &["powershell.sequence"]),
    ("MessageTotal", &["powershell.total"]),
    ("NewProcessId", &["process.pid"]),
    ("NewProcessName", &["process.executable"]),
    ("Opcode", &["winlog.opcode"]),
    ("OriginalFileName", &["process.pe.original_file_name", "file.pe.original_file_name"]),
    ("ParentCommandLine", &["process.parent.command_line"]),
    ("ParentImage", &["process.parent.executable"]),
    ("ParentProcessGuid", &["process.parent.entity_id"]),
    ("ParentProcessId", &["process.parent.pid"]),
    ("ParentProcessName", &["process.parent.executable"]),
    ("Path", &["file.path"]),
    ("PipeName", &["file.name"]),
    ("ProcessGuid", &["process.entity_id"]),
    ("ProcessId", &["process.pid"]),
    ("ProcessName", &["process.executable"]),
    ("Product", &["process.pe.product", "file.pe.product"]),
    ("Protocol", &["network.transport"]),
    ("ProviderGuid", &["winlog.provider_guid"]),
    ("QueryName", &["dns.question.name"]),
    ("QueryResults", &["dns.answers"]),
    ("QueryStatus", &["sysmon.dns.status"]),
    ("ScriptBlockId", &["powershell.file.script_block_id"]),
    ("ScriptBlockText", &["powershell.file.script_block_text"]),
    ("Signature", &["file.code_signature.subject_name"]),
    ("SignatureStatus", &["file.code_signature.status"]),
    ("Signed", &["file.code_signature.signed"]),
    ("SourceHostname", &["source.domain"]),
    ("SourceImage", &["process.executable"]),
    ("SourceIp", &["source.ip"]),
    ("SourcePort", &["source.port"]),
    ("SourceProcessGUID", &["process.entity_id"]),
    ("SourceProcessId", &["process.pid"]),
    ("TargetFilename", &["file.path"]),
    ("TargetObject", &["registry.path"]),
    ("Task", &["winlog.task"]),
    ("UserID", &["winlog.user.identifier"]),
    ("WorkstationName", &["source.domain"]),
];

/// `prefix` of the flat form's text → field.
type Parts = &'static [(&'static str, &'static str)];
/// Texts of the flat form that are put together: the name, the fields, and what stands between them.
const TOGETHER: &[(&str, Parts, &str)] = &[
    ("User", &[("", "user.domain"), ("", "user.name")], "\\"),
    (
        "Hashes",
        &[
            ("MD5=", "process.hash.md5"),
            ("SHA1=", "process.hash.sha1"),
            ("SHA256=", "process.hash.sha256"),
            ("IMPHASH=", "process.pe.imphash"),
        ],
        ",",
    ),
    (
        "Hashes",
        &[
            ("MD5=", "file.hash.md5"),
            ("SHA1=", "file.hash.sha1"),
            ("SHA256=", "file.hash.sha256"),
            ("IMPHASH=", "file.pe.imphash"),
        ],
        ",",
    ),
];

fn places(field: &str) -> Vec<Place> {
    // A path names its place itself.
    if field.contains('.') || field.starts_with('$') {
        return vec![Place::at(field)];
    }
    let listed = |list: &[(&str, &[&str])]| -> Option<Vec<Place>> {
        let (_, paths) = list.iter().find(|(name, _)| *name == field)?;
        Some(paths.iter().map(|path| Place::at(*path)).collect())
    };
    if let Some(places) = listed(SYSTEM) {
        return places;
    }
    let mut places =
        vec![Place::At(format!("winlog.event_data.{field}")), Place::At(format!("winlog.user_data.{field}"))];
    places.extend(listed(ELSEWHERE).unwrap_or_default());
    for (_, parts, separator) in TOGETHER.iter().filter(|(name, ..)| *name == field) {
        let parts = parts.iter().map(|(prefix, path)| (*prefix, (*path).to_owned())).collect();
        places.push(Place::Join(parts, separator));
    }
    places.push(Place::at(field));
    places
}

#[cfg(test)]
mod tests {
    use super::super::{DecodeLimits, FieldSet};
    use super::*;

    #[test]
    fn fields_are_found_in_the_data_first_and_then_elsewhere() {
        for (record, field, expect) in [
            (r#"{"winlog":{"event_id":4624},"event":{"code":"1"}}"#, "EventID", "Int(4624)"),
            (r#"{"winlog":{"event_id":{"id":7036,"qualifiers":0}}}"#, "EventID", "Int(7036)"),
            (r#"{"event":{"code":"1"}}"#, "EventID", "Text(\"1\")"),
            (r#"{"winlog.event_id":"4624"}"#, "EventID", "Text(\"4624\")"),
            (
                r#"{"winlog":{"channel":"System","event_data":{"Channel":"x"}}}"#,
                "Channel",
                "Text(\"System\")",
            ),
            (r#"{"host":{"name":"h"}}"#, "Computer", "Text(\"h\")"),
            (
                r#"{"winlog":{"event_data":{"Image":"a"}},"process":{"executable":"b"}}"#,
                "Image",
                "Text(\"a\")",
            ),
            (r#"{"winlog":{"event_data":{}},"process":{"executable":"b"}}"#, "Image", "Text(\"b\")"),
            (r#"{"winlog":{"user_data":{"Reason":"r"}}}"#, "Reason", "Text(\"r\")"),
            (r#"{"user":{"domain":"D","name":"n"}}"#, "User", "Text(\"D\\\\n\")"),
            (r#"{"winlog":{"event_data":{"User":"E\\m"}},"user":{"name":"n"}}"#, "User", "Text(\"E\\\\m\")"),
            (
                r#"{"process":{"hash":{"md5":"aa"},"pe":{"imphash":"bb"}}}"#,
                "Hashes",
                "Text(\"MD5=aa,IMPHASH=bb\")",
            ),
            (r#"{"file":{"hash":{"sha256":"cc"}}}"#, "Hashes", "Text(\"SHA256=cc\")"),
            (r#"{"winlog":{"event_data":{"A":1}}}"#, "winlog.event_data.A", "Int(1)"),
            (r#"{"EventID":1}"#, "EventID", "Missing"),
            (r#"{"tags":["a"]}"#, "tags", "Text(\"[\\\"a\\\"]\")"),
        ] {
            let mut fields = FieldSet::of(&Winlogbeat);
            let slot = fields.add(field);
            let mut decoder = Winlogbeat.decoder(&fields, DecodeLimits::default());
            let mut found = String::new();
            let decoded = decoder
                .decode(record.as_bytes(), &mut |slots| found = format!("{:?}", slots[slot].clone().plain()));
            assert_eq!((decoded, found.as_str()), (Ok(1), expect), "{field} of {record}");
        }
    }

    #[test]
    fn each_name_stands_once() {
        let names: Vec<&str> = SYSTEM.iter().chain(ELSEWHERE).map(|(name, _)| *name).collect();
        let mut once = names.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), names.len());
    }
}
