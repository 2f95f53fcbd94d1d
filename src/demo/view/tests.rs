//! The view and the summary against goldens.

use std::sync::{Arc, Mutex};

use super::*;

/// 2026-10-03T01:00:00Z.
const START_MS: i64 = 1_790_989_200_000;

/// Compares with a file below `tests/goldens/`, where escape characters stand as `\e`.
fn golden(name: &str, text: &str) {
    crate::committed::assert_committed(&format!("tests/goldens/{name}"), &text.replace('\x1b', "\\e"));
}

fn alert(minute: i64, level: RuleLevel, org_id: &str, title: &str, entity: &str) -> AlertLine {
    AlertLine {
        time_ms: START_MS + minute * 60_000,
        level,
        org_id: org_id.to_owned(),
        title: title.to_owned(),
        entity: entity.to_owned(),
    }
}

fn alerts() -> Vec<AlertLine> {
    use RuleLevel::*;
    let cross = "One address contacted by several organisations";
    vec![
        alert(12, High, "ministry", "Office program starts PowerShell", "MIN-WS-014.ministry.example"),
        alert(13, Informational, "ministry", "Name seen for the first time", "updates.cdn-sync.example"),
        alert(13, Informational, "ministry", "Name seen for the first time", "updates.cdn-sync.example"),
        alert(19, Critical, "ministry", "Memory of lsass.exe is read", "MIN-WS-014.ministry.example"),
        alert(26, Medium, "power", "Remote desktop from outside", "POWER\\svc_backup\x1b[2J\r\n\u{202e}"),
        alert(31, Critical, "power", "Modbus write from the office network", "10.20.0.14"),
        alert(41, High, "rail", "Shadow copies are deleted", "RAIL-DSP-07.rail.example"),
        alert(43, Low, "rail", "Security log is cleared", "会議室の端末-07.rail.example"),
        alert(47, Critical, "rail", cross, "203.0.113.77"),
    ]
}

fn summary() -> Summary {
    let mut summary = Summary::default();
    summary.note_figures(&Progress {
        records: 200_000,
        events: 199_900,
        rejects: 100,
        elapsed: Duration::from_millis(4_120),
        ..Progress::default()
    });
    for alert in alerts() {
        summary.note_alert(&alert);
    }
    for (value, org) in [
        ("203.0.113.77", "ministry"),
        ("203.0.113.77", "power"),
        ("203.0.113.77", "rail"),
        ("updates.cdn-sync.example", "ministry"),
        ("updates.cdn-sync.example", "rail"),
        ("10.20.0.14", "power"),
        ("10.20.0.14", "power"),
    ] {
        summary.note_indicator(value, org);
    }
    summary
}

#[test]
fn the_page_at_the_end() {
    golden("demo-summary.txt", &summary().render(false, 110));
    golden("demo-summary-narrow-coloured.txt", &summary().render(true, 64));
    golden("demo-summary-nothing-found.txt", &Summary::default().render(false, 80));
}

#[test]
fn no_line_of_the_page_is_wider_than_the_terminal() {
    for width in [40, 57, 80, 140, 500] {
        for line in summary().render(false, width).lines() {
            assert!(printable::width(line) <= width, "{} columns of {width}: {line}", printable::width(line));
        }
    }
}

#[test]
fn a_timeline_keeps_the_most_severe_and_counts_the_rest() {
    let mut summary = Summary::default();
    for at in 0..30 {
        summary.note_alert(&alert(at, RuleLevel::Low, "power", "Something small", &format!("host-{at}")));
    }
    summary.note_alert(&alert(59, RuleLevel::Critical, "power", "Something grave", "host-99"));
    let page = summary.render(false, 100);
    assert!(page.contains("host-99"), "{page}");
    assert!(page.contains("host-10") && !page.contains("host-11"), "{page}");
    assert!(page.contains("… and 19 alerts of the same or lower levels"), "{page}");
}

#[test]
fn the_summary_is_bounded_and_says_what_it_left_out() {
    let mut summary = Summary::default();
    for at in 0..summary::ALERT_GROUPS_MAX {
        summary.note_alert(&alert(0, RuleLevel::Low, "rail", "Many", &format!("host-{at}")));
    }
    summary.note_alert(&alert(0, RuleLevel::Low, "rail", "Many", "host-0"));
    summary.note_alert(&alert(0, RuleLevel::Low, "rail", "Many", "one-too-many"));
    assert_eq!(summary.alerts(), summary::ALERT_GROUPS_MAX as u64 + 2);
    assert!(summary.render(false, 100).contains("1 alert is counted only"));
}

/// A stream that the test can look at.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Four seconds of a run, as a plain view shows it.
fn transcript(colour: bool) -> String {
    let out = Shared::default();
    let mut view = View::plain("Noroshi demo", colour, Box::new(out.clone()));
    let mut alerts = alerts().into_iter();
    for tenth in 1..=40 {
        let progress = Progress {
            records: tenth * 5_000 + if tenth > 20 { (tenth - 20) * 1_000 } else { 0 },
            records_total: Some(220_000),
            events: tenth * 4_990,
            rejects: tenth / 8,
            alerts: tenth / 4,
            lag: (tenth > 20).then_some(220_000 - tenth * 5_000),
            epochs: tenth / 10,
            last_commit: (tenth >= 10).then_some(Duration::from_millis(18)),
            elapsed: Duration::from_millis(tenth * 100),
        };
        if tenth % 4 == 0
            && let Some(alert) = alerts.next()
        {
            view.alert(&alert);
        }
        view.progress(&progress);
    }
    view.finish();
    let bytes = out.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_plain_view_writes_every_alert_and_figures_every_two_seconds() {
    golden("demo-view-plain.txt", &transcript(false));
    golden("demo-view-plain-coloured.txt", &transcript(true));
}

#[test]
fn without_colour_no_escape_sequence_is_written() {
    for text in [transcript(false), summary().render(false, 80)] {
        assert!(!text.contains('\x1b'), "{text}");
    }
}

#[test]
fn figures_as_people_read_them() {
    for (number, shown) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
        assert_eq!(text::grouped(number), shown);
    }
    for (ms, shown) in [
        (0, "0 ms"),
        (999, "999 ms"),
        (1_000, "1.0 s"),
        (59_950, "59.9 s"),
        (125_000, "2 min 05 s"),
        (7_260_000, "2 h 01 min"),
    ] {
        assert_eq!(text::spoken(Duration::from_millis(ms)), shown);
    }
    assert_eq!(text::per_second(10, Duration::ZERO), 0);
    for (names, shown) in
        [(&["a"] as &[&str], "a"), (&["a", "b"], "a and b"), (&["a", "b", "c"], "a, b and c")]
    {
        assert_eq!(text::listed(names.iter().copied()), shown);
    }
}

#[test]
fn the_rate_follows_the_last_second() {
    let mut rate = Rate::default();
    let mut rates = Vec::new();
    for (records, ms) in
        [(0, 0), (100, 100), (999, 999), (1_000, 1_000), (1_100, 1_500), (3_000, 2_000), (3_000, 3_000)]
    {
        rate.note(&Progress { records, elapsed: Duration::from_millis(ms), ..Progress::default() });
        rates.push(rate.per_second);
    }
    assert_eq!(rates, [None, None, None, Some(1_000), Some(1_000), Some(2_000), Some(0)]);
}

#[test]
fn the_live_line_begins_with_what_matters_most() {
    let progress = Progress {
        records: 192_000,
        records_total: Some(1_000_000),
        events: 191_900,
        rejects: 1,
        alerts: 2,
        lag: Some(98_800),
        epochs: 3,
        last_commit: Some(Duration::from_millis(18)),
        elapsed: Duration::from_secs(2),
    };
    assert_eq!(
        live_status(&progress, Some(96_000)),
        "96,000 records/s · 2 alerts · lag 98,800 · last commit 18 ms · 1 reject · 192,000 records"
    );
    assert_eq!(live_status(&Progress::default(), None), "0 alerts · 0 records");
}
