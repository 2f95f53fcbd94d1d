//! Each modifier and each kind of value: what is written, and the tree that it becomes.

use super::*;

fn check(rows: &[(&str, &str)]) {
    for (selection, expect) in rows {
        assert_eq!(tree(selection), *expect, "{selection}");
    }
}

#[test]
fn texts_and_their_places() {
    check(&[
        ("Image: a", "Image=[a]"),
        ("image: a", "Image=[a]"),
        ("Image: [a, b]", "(Image=[a] | Image=[b])"),
        ("Image: ''", "Image="),
        ("Image: '*'", "Image present"),
        (r"Image: '*\cmd?.exe'", r"Image=*[\cmd]?[.exe]"),
        (r"Image: 'C:\\*'", r"Image=[C:\]*"),
        (r"Image|contains: 'a\*b'", "Image=*[a*b]*"),
        ("Image|startswith: a", "Image=[a]*"),
        ("Image|endswith: a", "Image=*[a]"),
        ("Image|endswith: '*a'", "Image=*[a]"),
        ("Image|contains: ''", "Image present"),
        ("Image|contains|all: [a, b]", "(Image=*[a]* & Image=*[b]*)"),
        ("Image|all: ['*a', 'b*']", "(Image=*[a] & Image=[b]*)"),
        ("Image|cased: Ab", "Image==[Ab]"),
        ("Image|contains|cased: Ab", "Image==*[Ab]*"),
        ("Image|contains: 4444", "Image=*[4444]*"),
        ("Image|startswith: true", "Image=[true]*"),
        ("Image: 100%", "Image=[100%]"),
    ]);
}

#[test]
fn fields_without_a_column_are_read_by_their_path() {
    check(&[
        ("actor.user.name: a", "$actor.user.name=[a]"),
        ("actor: null", "$actor null"),
        ("Hash: a", "(md5=[a] | sha1=[a])"),
        ("Hash: [a, b]", "(md5=[a] | sha1=[a] | md5=[b] | sha1=[b])"),
        ("Hash|contains|all: [a, b]", "((md5=*[a]* | sha1=*[a]*) & (md5=*[b]* | sha1=*[b]*))"),
        ("Hash: null", "(md5 null & sha1 null)"),
        ("Hash|exists: true", "(md5 present | sha1 present)"),
        ("Hash|exists: false", "(md5 null & sha1 null)"),
        ("Hash|neq: a", "!(md5=[a] | sha1=[a])"),
        ("Hash|neq: null", "!(md5 null & sha1 null)"),
    ]);
    let lowered =
        lowered(&rule_with("z.y: 1\nImage: a\nb: 2\nHash: 1\nZ: 1\nz.y|contains: 1")).expect("lowers");
    let columns: Vec<String> = lowered.columns.iter().map(show_column).collect();
    assert_eq!(columns, ["$z.y", "Image", "$b", "md5", "sha1", "$Z"]);
    assert_eq!(lowered.by_path, ["z.y", "b", "Z"]);
}

#[test]
fn values_fit_the_types_of_columns() {
    check(&[
        ("EventID: 4625", "EventID#4625"),
        ("EventID: '4625'", "EventID#4625"),
        ("EventID: '0x1F'", "EventID#31"),
        ("EventID: 0x1f", "EventID#31"),
        ("EventID: ' 7 '", "EventID#7"),
        ("EventID: '46*'", "EventID=[46]*"),
        ("EventID|contains: 62", "EventID=*[62]*"),
        ("EventID: abc", "never"),
        ("EventID: ''", "never"),
        ("EventID: [1, x]", "EventID#1"),
        ("EventID: 9007199254740993", "EventID=[9007199254740993]"),
        ("EventID: 0xffffffffffffffff", "EventID#-1"),
        ("EventID: true", "EventID#1"),
        ("EventID: '*'", "EventID present"),
        ("EventID|cidr: 10.0.0.0/8", "never"),
        ("EventID|re: ^4", "EventID re ^4"),
        ("Score: 1.5", "Score#1.5"),
        ("Score: '1.5'", "Score#1.5"),
        ("Score: x", "never"),
        ("Elevated: true", "Elevated is true"),
        ("Elevated: 'FALSE'", "Elevated is false"),
        ("Elevated: 1", "Elevated is true"),
        ("Elevated: '0'", "Elevated is false"),
        ("Elevated: yes", "never"),
        ("Elevated: 2", "never"),
        ("Elevated: 't*'", "Elevated is true"),
        ("Elevated|endswith: e", "Elevated present"),
        ("Elevated: 'x*'", "never"),
        ("Elevated: null", "Elevated null"),
        ("Elevated|gt: 0", "never"),
        ("Image: 4625", "Image=[4625]"),
        ("Image: 0x17", "(Image=[0x17] | Image=[23])"),
        ("Image: 1.10", "(Image=[1.10] | Image=[1.1])"),
        ("Image: 9007199254740993", "Image=[9007199254740993]"),
        ("Image: '0x17'", "Image=[0x17]"),
        ("Image: true", "Image=[true]"),
        ("Image: 2024-01-02", "Image=[2024-01-02]"),
        ("Image: 12e4567", "Image=[12e4567]"),
        ("Image: null", "Image null"),
        ("Image:", "Image null"),
        ("Image: ~", "Image null"),
        ("Image: [a, null, '']", "(Image=[a] | Image null | Image=)"),
        ("Seen: '2024-01-02*'", "Seen=[2024-01-02]*"),
        ("Time|hour: 3", "event_time Hour 3"),
    ]);
}

#[test]
fn keywords_are_looked_for_in_the_whole_event() {
    check(&[
        ("- a\n- b*c", "(text=*[a]* | text=*[b]*[c]*)"),
        ("a", "text=*[a]*"),
        ("4688", "text=*[4688]*"),
        ("- 4688\n- true", "(text=*[4688]* | text=*[true]*)"),
        ("'|all':\n  - a\n  - 200", "(text=*[a]* & text=*[200]*)"),
        ("'|contains|all': [a, b]", "(text=*[a]* & text=*[b]*)"),
        ("'|re': a.c", "text re a.c"),
        ("'|cased': aB", "text==*[aB]*"),
        ("'|windash': ' -e'", "text=*[ ]~[e]*"),
        ("'|base64offset|contains': foo", "(text==*[Zm9v]* | text==*[Zvb]* | text==*[mb2]*)"),
        ("'|expand': '%dirs%'", "(text=*[a]* | text=*[b]*)"),
        ("- a\n- Image: b\n  EventID: 1", "(text=*[a]* | (Image=[b] & EventID#1))"),
    ]);
}

#[test]
fn lists_of_maps_are_alternatives() {
    check(&[
        ("- Image: a\n- EventID: 1", "(Image=[a] | EventID#1)"),
        ("- Image: a\n  EventID: 1\n- Image: b", "((Image=[a] & EventID#1) | Image=[b])"),
        ("Image: a\nEventID: 1\nmd5: [b, c]", "(Image=[a] & EventID#1 & (md5=[b] | md5=[c]))"),
    ]);
}

#[test]
fn regular_expressions() {
    check(&[
        ("Image|re: ^a.*b$", "Image re ^a.*b$"),
        (r"Image|re: '\\d+\*'", r"Image re \\d+\*"),
        (r"Image|re: '\d+'", "Image re [0-9]+"),
        ("Image|re|i: a", "Image re (?i)a"),
        ("Image|re|ignorecase|multiline|dotall: a", "Image re (?ims)a"),
        ("Image|re|s|i: a|b", "Image re (?is)a|b"),
        ("Image|re|contains: a", "Image re a"),
        ("Image|re|startswith: a|b", r"Image re \A(?:a|b)"),
        ("Image|re|i|endswith: a", r"Image re (?i)(?:a)\z"),
        ("Image|re: 12", "Image re 12"),
        ("Image|re|all: [a, b]", "(Image re a & Image re b)"),
        ("Image|re: (?i)x", "Image re (?i)x"),
    ]);
}

#[test]
fn networks_and_numbers() {
    check(&[
        ("ip|cidr: 10.0.0.0/8", "$ip in 10.0.0.0/8"),
        (
            "ip|cidr: ['10.0.0.0/8', 'fe80::/10', '::1']",
            "($ip in 10.0.0.0/8 | $ip in fe80::/10 | $ip in ::1)",
        ),
        ("ip|cidr|neq: 10.0.0.0/8", "!$ip in 10.0.0.0/8"),
        ("ip|cidr|expand: '%nets%'", "$ip in 10.0.0.0/8"),
        ("EventID|gt: 1", "EventID>1"),
        ("EventID|gte: '0x10'", "EventID>=16"),
        ("Image|lt: 1.5", "Image<1.5"),
        ("Score|lte: -1", "Score<=-1"),
        ("EventID|neq: 1", "!EventID#1"),
        ("EventID|neq: [1, 2]", "!(EventID#1 | EventID#2)"),
        ("Image|contains|neq: a", "!Image=*[a]*"),
        ("Image|contains|all|neq: [a, b]", "!(Image=*[a]* & Image=*[b]*)"),
    ]);
}

#[test]
fn dashes_and_encodings() {
    check(&[
        ("Image|windash: -a /b", "Image=~[a ]~[b]"),
        ("Image|windash|contains: ' -f '", "Image=*[ ]~[f ]*"),
        ("Image|contains|windash: ' -f '", "Image=*[ ]~[f ]*"),
        ("Image|endswith|windash: ' -f'", "Image=*[ ]~[f]"),
        ("Image|windash: a-b", "Image=[a-b]"),
        ("Image|base64: foo", "Image==[Zm9v]"),
        ("Image|base64|contains: foo", "Image==*[Zm9v]*"),
        ("Image|wide|base64: foo", "Image==[ZgBvAG8A]"),
        ("Image|utf16le|base64: foo", "Image==[ZgBvAG8A]"),
        ("Image|utf16be|base64: foo", "Image==[AGYAbwBv]"),
        ("Image|utf16|base64: foo", "Image==[//5mAG8AbwA=]"),
        ("Image|wide: ab", "Image=[a\0b\0]"),
        ("Image|utf16be|contains: a", "Image=*[\0a]*"),
        (
            "Image|base64offset|contains: foobar",
            "(Image==*[Zm9vYmFy]* | Image==*[Zvb2Jhc]* | Image==*[mb29iYX]*)",
        ),
        ("Image|base64offset: ab", "(Image==*[YW]* | Image==*[Fi]* | Image==*[hY]*)"),
        (r"Image|base64: 'a\*'", "Image==[YSo=]"),
        ("Image|base64: 12", "Image==[MTI=]"),
    ]);
}

#[test]
fn placeholders_are_put_into_values() {
    check(&[
        ("User|expand: '%admins%'", r"($User=[root] | $User=[CORP\adm_]*)"),
        ("User|expand: ['x', '%dirs%']", "($User=[x] | $User=[a] | $User=[b])"),
        ("User|contains|expand: '%dirs%'", "($User=*[a]* | $User=*[b]*)"),
        ("User|expand|startswith: '%dirs%'", "($User=[a]* | $User=[b]*)"),
        ("User|contains|all|expand: ['%dirs%', c]", "($User=*[a]* & $User=*[b]* & $User=*[c]*)"),
        ("User|expand: '-%dirs%-%dirs%'", "($User=[-a-a] | $User=[-a-b] | $User=[-b-a] | $User=[-b-b])"),
        (r"User|expand: '\%dirs\%*'", "$User=[%dirs%]*"),
        (r"User|expand: 'C:\\%dirs%\\*'", r"($User=[C:\a\]* | $User=[C:\b\]*)"),
        ("User: '%dirs%'", "$User=[%dirs%]"),
        ("User|expand: 7", "$User=[7]"),
        ("User|expand|neq: '%dirs%'", "!($User=[a] | $User=[b])"),
        ("User|expand|cased: '%dirs%'", "($User==[a] | $User==[b])"),
        ("User|windash|expand: '-%dirs%'", "($User=~[a] | $User=~[b])"),
    ]);
}

#[test]
fn fields_are_compared_with_fields() {
    check(&[
        ("Image|fieldref: CommandLine", "Image same CommandLine"),
        ("Image|fieldref: x.y", "Image same $x.y"),
        ("Image|fieldref|contains: CommandLine", "Image contains CommandLine"),
        ("Image|fieldref|startswith|cased: CommandLine", "Image starts cased CommandLine"),
        ("Image|fieldref|endswith: [CommandLine, b]", "(Image ends CommandLine | Image ends $b)"),
        ("Image|fieldref: Hash", "(Image same md5 | Image same sha1)"),
        ("Image|fieldref|neq: b", "(Image present & $b present & !Image same $b)"),
        (
            "Image|fieldref|neq: [b, c]",
            "(Image present & $b present & !Image same $b & Image present & $c present & !Image same $c)",
        ),
    ]);
    let lowered = lowered(&rule_with("b|fieldref: c")).expect("lowers");
    assert_eq!(lowered.by_path, ["b", "c"]);
    assert_eq!(lowered.columns.len(), 2);
}

#[test]
fn presence_and_parts_of_times() {
    check(&[
        ("Image|exists: true", "Image present"),
        ("Image|exists: false", "Image null"),
        ("Seen|minute: 59", "Seen Minute 59"),
        ("Seen|hour: [1, 2]", "(Seen Hour 1 | Seen Hour 2)"),
        ("Seen|hour|neq: 1", "!Seen Hour 1"),
        ("Seen|hour|gte: 22", "(Seen Hour 22 | Seen Hour 23)"),
        ("Seen|day: '31'", "Seen Day 31"),
        ("Seen|week: 53", "Seen Week 53"),
        ("Seen|month|lt: 2", "Seen Month 1"),
        ("Seen|year: 2026", "Seen Year 2026"),
        ("when|hour: 3", "$when Hour 3"),
        ("EventID|hour: 3", "never"),
    ]);
}
