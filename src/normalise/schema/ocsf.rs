//! What of OCSF's `evidences` object a column can fill: its attributes, and those of the objects in it.
//!
//! Owns these facts of OCSF 1.8.0, as far as an alert can be filled with them: no lists, no numbers of enumerations,
//! no object that needs more than columns give. Where values go is `detect::evidence`'s. Called by it and by
//! `normalise::schema`.

use super::{ColumnType, Observable};
use crate::diagnostic::suggest;

/// Object and its attributes; `name:object` is an attribute that is itself an object, `name:` one of the same name.
pub const OBJECTS: &[(&str, &str)] = &[
    ("account", "is_disabled is_locked is_on_premises_sync_enabled name type uid"),
    ("actor", "app_name app_uid invoked_by process: session: user:"),
    ("api", "group: operation service: version"),
    ("container", "name network_driver orchestrator runtime size tag uid"),
    ("database", "created_time desc embedding_model modified_time name size type uid"),
    (
        "databucket",
        "created_time criticality desc file: group: hostname ip is_backed_up is_encrypted is_public \
         modified_time name namespace owner:user size type uid uid_alt version",
    ),
    (
        "device",
        "autoscale_uid boot_time boot_uid created_time desc domain eid first_seen_time hostname hypervisor \
         iccid imei instance_uid interface_name interface_uid ip is_backed_up is_compliant is_managed \
         is_mobile_account_active is_personal is_shared is_supervised is_trusted last_seen_time mac \
         mac_vendor meid model modified_time name org:organization os: os_machine_uuid owner:user region \
         risk_level subnet_uid type udid uid uid_alt vendor_name vlan_uid vpc_uid zone",
    ),
    ("dns_query", "class hostname opcode packet_uid type"),
    ("email", "from from_mailbox is_read message_uid raw_header sender_mailbox size subject to uid"),
    (
        "evidences",
        "actor: api: connection_info:network_connection_info container: database: databucket: device: \
         dst_endpoint:network_endpoint email: file: http_request: http_response: job: name process: \
         query:dns_query reg_key: reg_value: script: src_endpoint:network_endpoint tls: uid url: user: \
         win_service:",
    ),
    (
        "file",
        "accessed_time attributes company_name confidentiality created_time creator:user desc drive_type \
         ext hashes internal_name is_deleted is_encrypted is_readonly is_system mime_type modified_time \
         modifier:user name owner:user parent_folder path security_descriptor size type uid uri url: \
         version volume",
    ),
    ("group", "desc domain name type uid uid_alt"),
    ("http_request", "args body_length http_method length referrer uid url: user_agent version"),
    ("http_response", "body_length code content_type length message status"),
    ("job", "cmd_line created_time desc file: last_run_time name next_run_time run_state user:"),
    ("long_string", "is_truncated value"),
    (
        "network_connection_info",
        "boundary community_uid direction flag_history protocol_name protocol_num protocol_ver session: \
         tcp_flags uid",
    ),
    (
        "network_endpoint",
        "domain hostname instance_uid interface_name interface_uid ip isp isp_org mac mac_vendor name \
         network_scope os: owner:user port proxy_endpoint:network_endpoint subnet_uid svc_name type uid \
         vlan_uid vpc_uid zone",
    ),
    ("organization", "name ou_name ou_uid uid"),
    ("os", "build country cpe_name edition kernel_release lang name sp_name type version"),
    (
        "process",
        "cmd_line cpid created_time file: integrity name parent_process:process path pid ptid sandbox \
         session: terminated_time tid uid user: working_directory",
    ),
    ("reg_key", "is_system modified_time path security_descriptor"),
    ("reg_value", "data is_default is_system modified_time name path reg_integer_data reg_string_data type"),
    ("script", "file: hashes name parent_uid script_content:long_string type uid"),
    ("service", "name uid version"),
    (
        "session",
        "count created_time credential_uid expiration_reason expiration_time is_mfa is_remote is_vpn issuer \
         terminal uid uid_alt uuid",
    ),
    ("tls", "cipher sni version"),
    ("url", "domain hostname path port query_string resource_type scheme subdomain url_string"),
    (
        "user",
        "account: credential_uid display_name domain email_addr full_name has_mfa name org:organization \
         phone_number risk_level type uid uid_alt",
    ),
    (
        "win_service",
        "cmd_line load_order_group name service_category service_dll_file:file service_error_control \
         service_file:file service_start_name service_start_type service_type uid version",
    ),
];
/// The object that paths begin in.
const ROOT: &str = "evidences";

/// Attributes that hold text of a certain form, which only a string column has.
const FORMED: &[&str] = &[
    "cpid",
    "email_addr",
    "from",
    "hashes",
    "hostname",
    "http_method",
    "ip",
    "mac",
    "os_machine_uuid",
    "to",
    "uuid",
];
/// Attributes that are integers, besides times.
const INTEGERS: &[&str] = &[
    "attributes",
    "body_length",
    "code",
    "count",
    "length",
    "packet_uid",
    "pid",
    "port",
    "protocol_num",
    "ptid",
    "reg_integer_data",
    "size",
    "tcp_flags",
    "tid",
];

/// What an attribute may hold, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// True or false.
    Boolean,
    /// A whole number.
    Integer,
    /// Epoch milliseconds.
    Time,
    /// Text of a certain form, such as an address.
    Formed,
    /// Any text.
    Text,
}

/// What the attribute of that name holds: OCSF gives a name one type, wherever it stands.
pub fn holds(name: &str) -> Holds {
    if name.starts_with("is_") || name == "has_mfa" {
        Holds::Boolean
    } else if name.ends_with("_time") {
        Holds::Time
    } else if INTEGERS.contains(&name) {
        Holds::Integer
    } else if FORMED.contains(&name) {
        Holds::Formed
    } else {
        Holds::Text
    }
}

/// Why no column of that type can be shown at the path: what is wrong, and what to do.
pub(super) fn fault(path: &[String], kind: ColumnType) -> Option<(String, String)> {
    let mut object = ROOT;
    let mut segments = path.iter().peekable();
    while let Some(name) = segments.next() {
        let Some(next) = attribute(object, name) else {
            let message = match object {
                ROOT => format!("OCSF's evidence has no attribute `{name}` that a column can fill"),
                _ => format!("OCSF's object `{object}` has no attribute `{name}` that a column can fill"),
            };
            return Some((message, suggest(name, names(object))));
        };
        match (next, segments.peek()) {
            (Some(next), Some(_)) => object = next,
            (Some(next), None) => {
                let message = format!("`{name}` is an object, and a column holds one value");
                return Some((message, format!("name one of its attributes: {}", listed(next))));
            }
            (None, Some(_)) => {
                let message = format!("`{name}` is one value, so nothing lies below it");
                return Some((message, "end the path here".into()));
            }
            (None, None) => return misfit(name, kind),
        }
    }
    None
}

/// Why an attribute never takes the values of such a column.
fn misfit(name: &str, kind: ColumnType) -> Option<(String, String)> {
    use ColumnType::{Boolean, Int, String, Timestamp};
    let (wants, fits) = match holds(name) {
        Holds::Boolean => ("boolean", kind == Boolean),
        Holds::Integer => ("int or string", matches!(kind, Int | String)),
        Holds::Time => ("timestamp", kind == Timestamp),
        Holds::Formed => ("string", kind == String),
        Holds::Text => return None,
    };
    let message = format!("`{name}` is never filled from a column of type {}", kind.name());
    (!fits).then(|| (message, format!("it takes a column of type {wants}")))
}

/// Why no value of such a column is ever that observable.
pub(super) fn misfit_observable(observable: Observable, kind: ColumnType) -> Option<(String, String)> {
    use ColumnType::{Int, String};
    let (wants, fits) = match observable {
        Observable::Port => ("int", kind == Int),
        Observable::ResourceUid => ("string or int", matches!(kind, String | Int)),
        _ => ("string", kind == String),
    };
    let (_, caption) = observable.type_id();
    let message = format!("a column of type {} holds no {caption}", kind.name());
    (!fits).then(|| (message, format!("an observable of this kind takes a column of type {wants}")))
}

/// The attribute of an object: none when there is no such one, else the object that it is, if it is one.
fn attribute(object: &str, name: &str) -> Option<Option<&'static str>> {
    entries(object).find(|(known, _)| *known == name).map(|(_, inner)| inner)
}

fn entries(object: &str) -> impl Iterator<Item = (&'static str, Option<&'static str>)> + Clone {
    let attributes =
        OBJECTS.iter().find(|(known, _)| *known == object).map_or("", |(_, attributes)| attributes);
    attributes.split_ascii_whitespace().map(|entry| match entry.split_once(':') {
        None => (entry, None),
        Some((name, "")) => (name, Some(name)),
        Some((name, object)) => (name, Some(object)),
    })
}

fn names(object: &str) -> impl Iterator<Item = &'static str> + Clone {
    entries(object).map(|(name, _)| name)
}

fn listed(object: &str) -> String {
    let mut names: Vec<&str> = names(object).collect();
    names.sort_unstable();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_end_at_an_attribute_that_takes_the_column_s_type() {
        use ColumnType::{Boolean, Double, Int, String, Timestamp};
        for (path, kind, expect) in [
            ("process.file.path", String, None),
            ("process.parent_process.parent_process.user.name", String, None),
            ("process.pid", Int, None),
            ("process.pid", String, None),
            ("process.pid", Double, Some("`pid` is never filled from a column of type double")),
            ("process.created_time", Timestamp, None),
            ("process.created_time", Boolean, Some("`created_time` is never filled")),
            ("src_endpoint.ip", Int, Some("`ip` is never filled")),
            ("file.is_system", String, Some("`is_system` is never filled")),
            ("actor.session.uid", Int, None),
            ("bogus.name", String, Some("evidence has no attribute `bogus`")),
            ("data", String, Some("evidence has no attribute `data`")),
            ("evidences.process", String, Some("evidence has no attribute `evidences`")),
            ("process.flie.path", String, Some("object `process` has no attribute `flie`")),
            ("process.integrity_id", Int, Some("object `process` has no attribute `integrity_id`")),
            ("process.file", String, Some("`file` is an object")),
            ("query.hostname.name", String, Some("`hostname` is one value")),
            ("", String, Some("evidence has no attribute ``")),
        ] {
            let segments: Vec<std::string::String> = path.split('.').map(str::to_owned).collect();
            let found = fault(&segments, kind);
            let right = match (&found, expect) {
                (None, None) => true,
                (Some((message, help)), Some(part)) => message.contains(part) && !help.is_empty(),
                _ => false,
            };
            assert!(right, "{path} as {kind:?}: {found:?}");
        }
    }

    #[test]
    fn every_object_that_is_named_is_described() {
        for (object, _) in OBJECTS {
            assert!(names(object).count() > 0, "{object}");
            for (name, inner) in entries(object) {
                assert!(inner.is_none_or(|inner| names(inner).count() > 0), "{object}.{name}");
            }
        }
    }
}
