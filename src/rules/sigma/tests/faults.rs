//! What is wrong with a rule is told at its place, all of it at once, and never as an error.

use super::*;

/// What is told of a text, each as `line:column code message`; nothing that is armed.
fn faults(text: &str) -> Vec<String> {
    let mut found = match read(text) {
        (documents, found) if documents.is_empty() => found,
        (_, mut found) => {
            let (rules, ..) = rules(text);
            for rule in &rules {
                assert!(lower(rule, &route(), &[], &placeholders(), &mut found).is_none(), "{text} is armed");
            }
            found
        }
    };
    crate::diagnostic::sort(&mut found);
    found
        .iter()
        .map(|diagnostic| {
            assert!(!diagnostic.is_error() && diagnostic.help.as_ref().is_some_and(|help| !help.is_empty()));
            let place = diagnostic.place();
            let place = place.strip_prefix("r.yml:").unwrap_or("-");
            format!("{place} {} {}", diagnostic.code.id, diagnostic.message)
        })
        .collect()
}

fn check(told: &[String], expect: &[&str], text: &str) {
    assert_eq!(told.len(), expect.len(), "{told:#?} of {text}");
    for (told, expect) in told.iter().zip(expect) {
        assert!(told.starts_with(expect), "{told:?} does not begin with {expect:?}");
    }
}

#[test]
fn of_selections() {
    // The selection begins in line 6, column 9.
    for (selection, expect) in [
        ("Image|conatins: a", &["6:15 G006 not armed: the modifier `conatins` is not known"][..]),
        ("'Image|contains|not': a", &["6:25 G006 not armed: the modifier `not`"]),
        (
            "Image|contains|base64offset: ab",
            &["6:24 G007 not armed: the modifier `base64offset` cannot follow `contains`"],
        ),
        ("Image|re: '(?=a)'", &["6:19 G009 not armed: the regular expression is invalid: look-around"]),
        ("Image|re: '(a'", &["6:19 G009 not armed: the regular expression is invalid: unclosed group"]),
        (
            "Image|re:\n  - a\n  - '(a)\\1'\n  - '['",
            &["8:13 G009 not armed: the regular expression is invalid: backref", "9:13 G009"],
        ),
        ("ip|cidr: 10.0.0.1/8", &["6:18 G010 not armed: `10.0.0.1/8` has bits set behind its prefix"]),
        ("ip|cidr: 10.*", &["6:18 G010"]),
        ("EventID|gt: many", &["6:21 G008 not armed: `many` is no number"]),
        ("Image|exists: maybe", &["6:23 G008 not armed: the value of `exists`"]),
        ("Seen|hour: 24", &["6:20 G008 not armed: `24` is no hour of a time"]),
        ("Seen|hour|lt: 0", &["6:23 G008"]),
        ("Image|contains: null", &["6:25 G008 not armed: the value is null"]),
        ("Image|fieldref: a*", &["6:25 G008"]),
        ("Image|base64: a*", &["6:23 G008 not armed: the value cannot be encoded"]),
        ("Image: []", &["6:9 G008 not armed: `Image` has no value"]),
        ("Image: {a: b}", &["6:16 G008 not armed: a map stands where a value"]),
        ("Image: [[a]]", &["6:17 G008 not armed: a list or a map"]),
        ("- null", &["6:11 G008 not armed: a keyword is null"]),
        ("'|startswith': a", &["6:11 G007"]),
        ("{}", &["5:5 G002 not armed: `sel` is empty"]),
        ("Image[any]: a", &["6:9 G013 not armed: `Image[any]` picks items"]),
        ("'a.b[0].c|contains': a", &["6:9 G013"]),
        (
            "Image|expand: '%nobody%'",
            &["6:23 G011 not armed: there is no value for the placeholder `%nobody%`"],
        ),
        ("Image|contians: a\nmd5|re: '('\nsha1|expand: x", &["6:15 G006", "7:17 G009"]),
    ] {
        check(&faults(&rule_with(selection)), expect, selection);
    }
}

#[test]
fn of_conditions() {
    let deep = format!("{}a{}", "(".repeat(30), ")".repeat(30));
    let long = format!("a{}", " or a".repeat(4_000));
    for (condition, expect) in [
        ("a and b", "6:22 G005 not armed: the condition names `b`"),
        ("a and filter_x and filtre", "6:22 G005"),
        ("1 of b*", "6:21 G005 not armed: `b*` fits no selection"),
        ("all of filter_*", "6:23 G005"),
        ("2 of them", "6:21 G005 not armed: `2 of them` can never be meant"),
        ("0 of a*", "6:21 G005"),
        ("a and", "6:16 G004 not armed: the condition ends too early"),
        ("a AND b", "6:18 G004 not armed: the condition cannot be read at `AND`"),
        ("a | count() > 5", "6:18 G013 not armed: aggregations"),
        ("a | near b", "6:18 G013"),
        ("''", "6:16 G004"),
        ("[]", "6:16 G004 not armed: there are 0 conditions"),
        ("{a: b}", "6:16 G004 not armed: the condition is no text"),
        ("not not not not not a", "6:16 G004"),
        (&deep, "6:16 G004 not armed: the condition has parentheses deeper"),
        (&long, "6:16 G004 not armed: the condition has more than"),
    ] {
        let told = faults(&rule_of(&format!("a: {{Image: x}}\ncondition: {condition}")));
        assert!(told.first().is_some_and(|told| told.starts_with(expect)), "{told:?} of {condition}");
    }
    let told = faults(&rule_of("a: {Image: x}\ntimeframe: 5m\ncondition: a"));
    check(&told, &["6:5 G013 not armed: `timeframe`"], "timeframe");
    check(
        &faults(&rule_of("a: {Image: x}")),
        &["4:1 G002 not armed: `detection` has no `condition`"],
        "none",
    );
}

#[test]
fn of_documents() {
    let sound = rule_with("Image: a");
    for (text, expect) in [
        ("a: b: c\n", &["1:5 G001"][..]),
        ("- a\n", &["1:1 G002 not armed: the document is no map"]),
        ("services:\n  web: {}\n", &["1:1 G002 not armed: the document has no `detection`"]),
        ("title: x\nid: *a\n", &["2:5 G001"]),
        ("action: globule\n", &["1:9 G002 not armed: the action `globule`"]),
        ("action: repeat\ntitle: x\n", &["1:9 G002 not armed: there is no document before"]),
        (&sound.replace("title: T\n", ""), &["1:1 G002 not armed: the document has no title"]),
        (
            &sound.replace("logsource: {category: c, product: p}\n", ""),
            &["1:8 G002 not armed: the rule has no `logsource`"],
        ),
        (
            &sound.replace("{category: c, product: p}", "{definition: x}"),
            &["3:12 G002 not armed: the log source"],
        ),
        (
            "title: F\nlogsource: {product: p}\nfilter:\n  s: {a: 1}\n  condition: s\n",
            &["3:1 G002 not armed: the filter names no rules"],
        ),
        ("title: F\nlogsource: {product: p}\nfilter:\n  rules: any\n  condition: s\n", &["5:14 G005"]),
        (
            "title: F\nlogsource: {product: p}\nfilter: any\n",
            &["3:1 G002", "3:9 G002 not armed: `filter` is no map"],
        ),
        (
            "title: F\nfilter:\n  rules: any\n  s: {a: 1}\n  condition: s\n",
            &["2:1 G002 not armed: the filter has no `logsource`"],
        ),
    ] {
        check(&faults(text), expect, text);
    }
}

#[test]
fn of_metadata_does_not_keep_a_rule_from_being_armed() {
    let text = rule_with("Image: a");
    let text = text.replace("id: t\n", "level: hihg\nstatus: [x]\ndate: 2024/13/01\ntags: [a, [b]]\n");
    let (rules, _, found) = rules(&text);
    let told: Vec<String> =
        found.iter().map(|found| format!("{} {}", found.place(), found.message)).collect();
    let expect = [
        "r.yml:1:8 the rule has no id; ",
        "r.yml:2:8 `hihg` is no level",
        "r.yml:3:9 `status` is no text",
        "r.yml:5:11 an item of `tags` is no text",
        "r.yml:4:7 `2024/13/01` is not a day",
    ];
    assert_eq!(told.len(), expect.len(), "{told:#?}");
    for (told, expect) in told.iter().zip(expect) {
        assert!(told.starts_with(expect), "{told} {expect}");
    }
    assert_eq!(rules.len(), 1);
    assert_eq!(rules[0].meta.tags, ["a"]);

    let (rules, _, found) = self::rules(&rule_with("Image|all: a"));
    assert_eq!((rules.len(), found.len()), (1, 1));
    assert_eq!(found[0].severity, crate::diagnostic::Severity::Note);
}

#[test]
fn of_what_would_take_too_long() {
    // Each names the same thousand values twenty-one times, or makes many of one.
    let values: String = (0..1_000).map(|number| format!("v{number},")).collect();
    let again = format!("a{}", " or a".repeat(20));
    let many = rule_of(&format!("a:\n    Image: [{values}]\ncondition: {again}"));
    let dirs = "%dirs%".repeat(20);
    let wide = rule_with(&format!("Image|expand: '{dirs}'"));
    let long = rule_with(&format!("Image: {}", "x".repeat(20_000)));
    let deep = format!("a: {}\n", "[".repeat(100_000));
    for (text, expect) in [(many, "G012"), (wide, "G012"), (long, "G012"), (deep, "G001")] {
        let told = faults(&text);
        assert!(told.len() == 1 && told[0].contains(expect), "{told:?}");
    }
    let many: String = (0..200).map(|number| format!("- f{number}|x: a\n")).collect();
    assert_eq!(faults(&rule_with(&many)).len(), 50);
    let long = "x".repeat(300_000);
    for text in [rule_with(&format!("{long}|{long}: a")), rule_of(&format!("{long}: a\ncondition: y{long}"))]
    {
        let told = faults(&text);
        assert!(told.iter().all(|told| told.len() < 500), "a message is too long");
    }
    let names: String = (0..900).map(|at| format!("name_number_{at}: a\n")).collect();
    let unknown: Vec<String> = (0..900).map(|at| format!("nam_number_{at}")).collect();
    assert_eq!(faults(&rule_of(&format!("{names}condition: {}", unknown.join(" or ")))).len(), 50);
}
