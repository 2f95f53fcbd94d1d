//! Random rules on random events: the tree holds where the specification says that the rule fires.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value as Json, json};

use super::interpreter::Case;
use super::*;

/// Texts of events; few characters, so that rules meet them.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "[abAé*?\\\\/ -]{0,4}",
        2 => "[kK\u{212a}sſßσςΣıİ\n]{0,3}",
        2 => prop::sample::select(vec!["16", "0x10", "7", "true", "FALSE", "1", "-7", "7.5", "root", "10.1.2.3"])
            .prop_map(str::to_owned),
        1 => prop::sample::select(vec!["Zm9v", "xmb2x", "YWI=", "IGFi", "ZgBvAG8A", "zm9v", "aFiq"])
            .prop_map(str::to_owned),
        1 => prop::sample::select(vec!["x \u{2013}a", "\u{2014}b a", "\u{2015}é"]).prop_map(str::to_owned),
    ]
}

fn scalar() -> impl Strategy<Value = Json> {
    prop_oneof![
        6 => text().prop_map(Json::String),
        1 => prop::sample::select(vec![json!(16), json!(7), json!(0), json!(1), json!(-7), json!(7.5)]),
        1 => any::<bool>().prop_map(Json::Bool),
    ]
}

fn time() -> impl Strategy<Value = Json> {
    prop::sample::select(vec!["2024-12-30T03:04:05Z", "2025-01-01T23:59:00Z", "2021-01-03T00:00:00Z", "soon"])
        .prop_map(|time| json!(time))
}

/// An event: each field may be missing or null.
pub(super) fn event() -> impl Strategy<Value = Json> {
    let maybe = |value: BoxedStrategy<Json>| prop_oneof![1 => Just(None), 1 => Just(Some(Json::Null)), 4 => value.prop_map(Some)];
    let list = prop::collection::vec(scalar(), 1..3).prop_map(Json::Array);
    let fields = (
        maybe(scalar().boxed()),
        maybe(scalar().boxed()),
        maybe(scalar().boxed()),
        maybe(scalar().boxed()),
        maybe(prop_oneof![scalar(), list].boxed()),
        maybe(
            prop_oneof![2 => time(), 1 => prop::collection::vec(time(), 1..3).prop_map(Json::Array)].boxed(),
        ),
        maybe(prop_oneof![Just(json!(16)), Just(json!(7)), Just(json!("0x10")), scalar()].boxed()),
        maybe(prop_oneof![any::<bool>().prop_map(Json::Bool), scalar()].boxed()),
    );
    fields.prop_map(|(command, image, md5, sha1, name, when, id, elevated)| {
        let mut event = Map::new();
        let whole = |value: &Json| value.as_f64().is_none_or(|number| number.fract() == 0.0);
        let id = id.filter(whole);
        let fields = [
            ("CommandLine", command),
            ("Image", image),
            ("md5", md5),
            ("sha1", sha1),
            ("when", when),
            ("EventID", id),
            ("Elevated", elevated),
        ];
        for (field, value) in fields {
            if let Some(value) = value {
                event.insert(field.to_owned(), value);
            }
        }
        if let Some(name) = name {
            event.insert("User".to_owned(), json!({ "Name": name }));
        }
        Json::Object(event)
    })
}

fn field() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["CommandLine", "Image", "Hash", "User.Name", "EventID", "Elevated", "nothing"])
}

fn values(value: impl Strategy<Value = Json> + Clone + 'static) -> impl Strategy<Value = Json> {
    prop_oneof![
        2 => value.clone(),
        1 => prop::collection::vec(value, 2..4).prop_map(Json::Array),
    ]
}

/// A key of a selection with its values.
fn item() -> impl Strategy<Value = (String, Json)> {
    let key = |modifiers: Vec<&'static str>| {
        (field(), prop::sample::select(modifiers))
            .prop_map(|(field, modifiers)| format!("{field}{modifiers}"))
    };
    let scalar = scalar().boxed();
    let chosen = |choices: Vec<Json>| prop::sample::select(choices).boxed();
    let texts = key(vec![
        "",
        "",
        "|contains",
        "|startswith",
        "|endswith",
        "|cased",
        "|contains|cased",
        "|windash",
        "|contains|windash",
        "|neq",
        "|contains|neq",
    ]);
    let plain = key(vec!["", "|neq"]);
    let encoded =
        key(vec!["|base64", "|base64|contains", "|base64offset|contains", "|wide|base64offset|contains"]);
    let fields = chosen(["CommandLine", "Image", "md5", "User.Name", "gone"].map(Json::from).to_vec());
    let regexes = chosen(["a", "^a", "b$", "a.b", "[ab]+", "(?i)A", "é|ß"].map(Json::from).to_vec());
    prop_oneof![
        8 => (texts, values(scalar.clone())),
        2 => (key(vec!["|contains|all", "|all"]), prop::collection::vec(scalar, 2..4).prop_map(Json::Array)),
        1 => (plain, Just(Json::Null)),
        1 => (key(vec!["|exists"]), any::<bool>().prop_map(Json::Bool)),
        1 => (encoded, values(chosen(vec![json!("ab"), json!("foo"), json!("a b")]))),
        1 => (key(vec!["|re", "|re|i", "|re|contains"]), values(regexes)),
        1 => (key(vec!["|cidr"]), Just(json!("10.0.0.0/8"))),
        1 => (key(vec!["|gt", "|gte", "|lt", "|lte"]), chosen(vec![json!(7), json!(0), json!(7.5)])),
        1 => (
            key(vec!["|expand", "|contains|expand", "|expand|neq"]),
            values(chosen(vec![json!("%admins%"), json!("%dirs%"), json!("b")])),
        ),
        1 => (
            prop::sample::select(vec!["CommandLine", "Hash", "md5", "User.Name"]),
            prop::sample::select(vec!["", "|contains", "|startswith", "|endswith|cased", "|neq"]),
            values(fields),
        )
            .prop_map(|(field, modifiers, value)| (format!("{field}|fieldref{modifiers}"), value)),
        1 => prop::sample::select(vec![
            ("when|minute", json!(59)),
            ("when|hour", json!([3, 23])),
            ("when|day", json!(30)),
            ("when|week", json!(1)),
            ("when|week", json!(53)),
            ("when|month", json!(1)),
            ("when|year", json!(2025)),
            ("when|year|neq", json!(2025)),
        ])
        .prop_map(|(key, value)| (key.to_owned(), value)),
    ]
}

fn selection() -> impl Strategy<Value = Json> {
    let map = prop::collection::vec(item(), 1..4).prop_map(|items| Json::Object(items.into_iter().collect()));
    let map = map.boxed();
    let words = prop_oneof![4 => text().prop_map(Json::String), 1 => Just(json!(7)), 1 => Just(json!(true))];
    let keywords = prop::collection::vec(words.clone(), 1..4).prop_map(Json::Array);
    let all = prop::collection::vec(words, 2..4);
    let all = (prop::sample::select(vec!["|all", "|contains|all"]), all)
        .prop_map(|(key, words)| json!({ key: words }));
    prop_oneof![
        6 => map.clone(),
        1 => prop::collection::vec(map, 1..4).prop_map(Json::Array),
        1 => keywords,
        1 => all,
    ]
}

/// What stands below `detection:`.
pub(super) fn detection() -> impl Strategy<Value = Json> {
    let conditions = vec![
        json!("sel_a"),
        json!("sel_a and sel_b"),
        json!("sel_a or sel_b and not filter"),
        json!("(sel_a or sel_b) and not filter"),
        json!("not (sel_a and filter)"),
        json!("1 of sel_*"),
        json!("all of sel_* and not 1 of filter*"),
        json!("2 of them"),
        json!("any of them and not _extra"),
        json!("all of them"),
        json!(["sel_a and filter", "not sel_b"]),
    ];
    (selection(), selection(), selection(), selection(), prop::sample::select(conditions)).prop_map(
        |(a, b, filter, extra, condition)| {
            json!({ "sel_a": a, "sel_b": b, "filter": filter, "_extra": extra, "condition": condition })
        },
    )
}

/// JSON is YAML; numbers, truth values and null are plain scalars in it, texts are quoted.
pub(super) fn yaml(detection: &Json) -> String {
    let rule = json!({
        "title": "T",
        "id": "t",
        "logsource": { "category": "c" },
        "detection": detection,
    });
    rule.to_string()
}

#[test]
fn trees_hold_where_the_specification_says_that_rules_fire() {
    let mut runner = TestRunner::new(Config {
        cases: Config::default().cases.max(500),
        failure_persistence: None,
        ..Config::default()
    });
    let placeholders = placeholders();
    let mut fired = 0u32;
    let counted = std::cell::RefCell::new(&mut fired);
    let events = prop::collection::vec(event(), 4);
    let ran = runner.run(&(detection(), events), |(detection, events)| {
        let lowered = lowered(&yaml(&detection));
        let lowered = lowered.map_err(|faults| TestCaseError::fail(faults.join("\n")))?;
        for event in &events {
            let case = Case { detection: &detection, event, placeholders: &placeholders.0 };
            let fires = case.fires();
            **counted.borrow_mut() += u32::from(fires);
            let holds = evaluator::holds(&lowered.condition, event);
            prop_assert_eq!(holds, fires, "{} on {}", show(&lowered.condition), event);
        }
        Ok(())
    });
    if let Err(error) = ran {
        panic!("{error}");
    }
    assert!(fired > 200, "only {fired} of 2000 or more fire: too few to tell anything");
}

#[test]
fn any_text_is_read_or_refused_at_its_place() {
    let pieces = vec![
        "title: T\n",
        "id: t\n",
        "logsource: {category: c}\n",
        "detection:\n",
        "filter:\n",
        "correlation:\n",
        "  s:\n",
        "  s: {Image|re: '",
        "    Image|contains|all: ",
        "    '|expand': ",
        "  rules: any\n",
        "  type: temporal\n",
        "  timespan: 1h\n",
        "  condition: ",
        "1 of s* and not (",
        "s or x",
        "- ",
        "'",
        "\"",
        "%admins%",
        "\\",
        "*",
        "?",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ": ",
        "\n",
        "\n\n    ",
        "---\n",
        "...\n",
        "action: global\n",
        "action: repeat\n",
        "é",
        "\u{feff}",
        "\r\n",
        "\t",
        "&a ",
        "!t ",
        "| ",
        "null",
        "0x1f",
        "10.0.0.0/8",
        "10",
    ];
    let text = prop::collection::vec(prop::sample::select(pieces), 0..40).prop_map(|pieces| pieces.concat());
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    let ran = runner.run(&text, |text| {
        let sound = format!("{}---\n{text}", rule_with("Image: a"));
        for text in [&text, &sound] {
            let (rules, filters, mut found) = rules(text);
            let filters: Vec<&SigmaFilter> = filters.iter().collect();
            for rule in &rules {
                let _ = lower(rule, &route(), &filters, &placeholders(), &mut found);
            }
            for diagnostic in &found {
                let span = diagnostic.location.as_ref().map(|location| location.span.clone());
                prop_assert!(span.is_some_and(|span| text.get(span).is_some()), "{}", diagnostic);
                prop_assert!(!diagnostic.is_error(), "{}", diagnostic);
            }
        }
        // What stands behind a sound rule does not take it away.
        prop_assert!(!rules(&sound).0.is_empty());
        Ok(())
    });
    if let Err(error) = ran {
        panic!("{error}");
    }
}
