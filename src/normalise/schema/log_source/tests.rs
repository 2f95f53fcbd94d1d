//! Declarations of log sources: what can be wrong with them, what a rule's log source finds, and the stock ones.

use super::*;
use crate::committed::assert_committed;

const TABLE: &str = r#"table = "t"
class_uid = 1
description = "d"
[columns]
Image = { type = "string", category = "machine", description = "d" }
kind = { type = "string", category = "machine", description = "d" }
"#;

fn catalog(declared: &str) -> Result<Catalog, Vec<String>> {
    let tables = Catalog::from_files([SourceFile::new("t.toml", TABLE)]).expect("sound");
    tables.with_log_sources(&[SourceFile::new("s.toml", declared)]).map_err(|mut found| {
        crate::diagnostic::sort(&mut found);
        found.iter().map(ToString::to_string).collect()
    })
}

fn source(product: &str, category: &str, service: &str) -> LogSource {
    let name = |name: &str| (!name.is_empty()).then(|| name.to_owned());
    LogSource { category: name(category), product: name(product), service: name(service) }
}

#[test]
fn all_faults_come_at_once_each_at_its_place() {
    let text = r#"[[logsource]]
category = "a"
[[logsource.route]]
table = "u"
[[logsource.route]]
table = "t"
outputs = ["Image", "Imag"]
fields = { One = "kind", Two = "knid", Three = ["Image", "Imagee"] }
[[logsource]]
category = ["b", "A"]
route = [{ table = "t" }]
[[logsource]]
route = [{ table = "t" }]
[[logsource]]
product = "p"
routes = [{ table = "t" }]
[[logsource]]
category = "*"
service = "*"
route = [{ table = "t" }]
"#;
    let found = catalog(text).expect_err("faults");
    let found: Vec<String> =
        found.iter().map(|told| told.split("; ").next().unwrap_or_default().into()).collect();
    assert_eq!(
        found,
        [
            "s.toml:4:9: there is no table `u` [S010]",
            "s.toml:7:21: the table `t` has no column `Imag` [S010]",
            "s.toml:8:32: the table `t` has no column `knid` [S010]",
            "s.toml:8:58: the table `t` has no column `Imagee` [S010]",
            "s.toml:10:12: the log source a is already declared at s.toml:2 [S009]",
            "s.toml:12:1: the log source names neither category, product nor service [S009]",
            "s.toml:14:1: `logsource[3]` lacks the key `route` [D004]",
            "s.toml:16:1: unknown key `routes` [D003]",
            "s.toml:17:1: the log source names neither category, product nor service [S009]",
        ]
    );
}

#[test]
fn a_declaration_covers_all_that_a_rule_names_and_of_several_the_one_that_names_most_counts() {
    let text = r#"
logsource = [
    { category = "c", route = [{ table = "t", where = "kind = 'c'" }] },
    { category = "c", product = ["p", "q"], route = [{ table = "t", where = "kind = 'pc'" }] },
    { product = "p", route = [{ table = "t", where = "kind = 'p'" }] },
    { product = "p", service = "s", route = [{ table = "t", where = "kind = 'ps'" }, { table = "t" }] },
    { service = "s", route = [{ table = "t", where = "kind = 's'" }] },
    { product = "empty", route = [] },
    { category = "v", product = "*", service = "*", route = [{ table = "t", where = "kind = 'v'" }] },
    { category = "v", product = "q", route = [{ table = "t", where = "kind = 'vq'" }] },
    { category = "*", product = "own", service = "*", route = [{ table = "t", where = "kind = 'own'" }] },
    { product = "own", service = "s", route = [{ table = "t", where = "kind = 'own s'" }] },
]
"#;
    let catalog = catalog(text).expect("sound");
    for (product, category, service, expect) in [
        ("", "c", "", &[Some("kind = 'c'")][..]),
        ("", "C", "", &[Some("kind = 'c'")]),
        ("P", "c", "", &[Some("kind = 'pc'")]),
        ("p", "", "", &[Some("kind = 'p'")]),
        ("p", "", "s", &[Some("kind = 'ps'"), None]),
        ("", "", "S", &[Some("kind = 's'")]),
        ("empty", "", "", &[]),
        ("", "", "", &[]),
        // A slip is nothing that is declared: neither all of the product, nor every product.
        ("p", "x", "", &[]),
        ("p", "", "x", &[]),
        ("p", "x", "s", &[]),
        ("p", "x", "x", &[]),
        ("x", "c", "", &[]),
        ("x", "", "s", &[]),
        ("x", "x", "x", &[]),
        // A category says more than a service, and one of the product's may stand beside it.
        ("p", "c", "s", &[Some("kind = 'pc'")]),
        ("p", "c", "x", &[]),
        ("q", "c", "s", &[Some("kind = 'pc'")]),
        ("", "c", "s", &[Some("kind = 'c'")]),
        // Any product and service, or none; one that is named counts for more.
        ("", "v", "", &[Some("kind = 'v'")]),
        ("x", "v", "x", &[Some("kind = 'v'")]),
        ("q", "v", "", &[Some("kind = 'vq'")]),
        ("x", "vv", "", &[]),
        // A product of one's own, whatever else a rule names.
        ("own", "", "", &[Some("kind = 'own'")]),
        ("own", "x", "x", &[Some("kind = 'own'")]),
        ("own", "", "s", &[Some("kind = 'own s'")]),
        ("", "x", "x", &[]),
    ] {
        let routes = catalog.log_sources().routes(&source(product, category, service));
        let found: Vec<_> = routes.iter().map(|route| route.condition.as_deref()).collect();
        assert_eq!(found, expect, "{product} / {category} / {service}");
    }
    // Where each condition stands, quotes left out.
    let (_, text, place) = catalog.log_sources().conditions().next().expect("a condition");
    assert_eq!((text, &place.file.text[place.span.clone()]), ("kind = 'c'", "kind = 'c'"));
}

#[test]
fn a_log_source_that_is_declared_nowhere_may_have_meant_another() {
    let catalog = Catalog::stock().expect("sound");
    for (product, category, service, expect) in [
        ("windows", "proces_creation", "", Some("did you mean the category `process_creation`")),
        ("windows", "", "secruity", Some("did you mean the service `security`?")),
        ("windows", "process_creation", "symon", Some("did you mean the service `sysmon`?")),
        ("windws", "registry_set", "", Some("did you mean the product `windows`?")),
        ("linus", "", "", Some("did you mean the product `linux`?")),
        ("zscaler", "prxy", "", Some("did you mean the category `proxy`?")),
        (
            "solaris",
            "process_creation",
            "",
            Some("no product `solaris` is declared; known here: linux, macos, windows."),
        ),
        ("aws", "", "cloudtrial", Some("did you mean the service `cloudtrail`?")),
        ("", "windows", "security", Some("`windows` is a product, and no category.")),
        ("acme-vpn", "", "vpn", Some("no product `acme-vpn` is declared")),
        // Each name is known, but not together.
        ("linux", "registry_set", "", None),
        ("nobody", "knows", "this", Some("no product `nobody` is declared.")),
    ] {
        let asked = source(product, category, service);
        assert!(catalog.log_sources().routes(&asked).is_empty(), "{asked}");
        let told = catalog.log_sources().suggest(&asked);
        let same = match (&told, expect) {
            (Some(told), Some(expect)) => told.starts_with(expect),
            (told, expect) => told.is_none() && expect.is_none(),
        };
        assert!(same, "{asked}: {told:?}");
    }
}

#[test]
fn fields_have_columns_by_name_or_by_declaration() {
    let text = r#"
[[logsource]]
category = "c"
[[logsource.route]]
table = "t"
fields = { "cs-Method" = "kind", cmd = ["Image", "kind"] }
"#;
    let catalog = catalog(text).expect("sound");
    let route = &catalog.log_sources().routes(&source("", "c", ""))[0];
    for (field, expect) in [
        ("Image", &["Image"][..]),
        ("IMAGE", &["Image"]),
        ("CS-method", &["kind"]),
        ("cmd", &["Image", "kind"]),
        ("user.name", &[]),
    ] {
        assert_eq!(route.columns(field), expect, "{field}");
    }
}

#[test]
fn a_folder_has_log_sources_of_its_own_or_what_it_can_have_of_the_stock_ones() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("makes");
        std::fs::write(path, text).expect("writes");
    };
    let column = "{ type = \"string\", category = \"machine\", description = \"d\" }";
    let table = |name: &str, columns: &[&str]| {
        let columns: String = columns.iter().map(|name| format!("{name} = {column}\n")).collect();
        format!("table = \"{name}\"\nclass_uid = 1\ndescription = \"d\"\n[columns]\n{columns}")
    };
    write("tables/p.toml", &table("process_activity", &["platform", "activity", "Image"]));
    // Its log sources ask for `platform`, too.
    write("tables/r.toml", &table("registry_activity", &["EventID"]));
    write("tables/d.toml", &table("dns_activity", &["QueryName"]));
    let catalog = Catalog::load(folder.path()).expect("sound");
    let routes = |catalog: &Catalog, category: &str| {
        let routes = catalog.log_sources().routes(&source("windows", category, "")).to_vec();
        routes.into_iter().map(|route| (route.outputs, route.fields.len())).collect::<Vec<_>>()
    };
    assert_eq!(routes(&catalog, "process_creation"), [(vec!["Image".to_owned()], 0)]);
    assert_eq!(routes(&catalog, "registry_set"), []);
    assert_eq!(routes(&catalog, "file_event"), []);
    let dns = catalog.log_sources().routes(&source("", "dns", ""));
    assert_eq!(dns[0].columns("query"), ["QueryName"]);
    assert_eq!(dns[0].columns("answer"), Vec::<&str>::new());

    write("sigma/own.toml", "[[logsource]]\ncategory = \"mine\"\nroute = [{ table = \"dns_activity\" }]\n");
    let files = Catalog::files(folder.path()).expect("reads");
    assert_eq!(files.len(), 4);
    let catalog = Catalog::load(folder.path()).expect("sound");
    assert_eq!(catalog.log_sources().declared().len(), 1);
    write("sigma/own.toml", "[[logsource]]\ncategory = \"mine\"\nroute = [{ table = \"dns\" }]\n");
    let found = Catalog::load(folder.path()).expect_err("a fault");
    assert_eq!(found.iter().map(|told| told.code.id).collect::<Vec<_>>(), ["S010"]);
    // A table that cannot be read may be the one that is meant.
    write("tables/d.toml", "table = ");
    write("sigma/own.toml", "[[logsource]]\ncategory = \"mine\"\nroute = [{ table = \"d\" }]\n");
    let found = Catalog::load(folder.path()).expect_err("a fault");
    assert_eq!(found.iter().map(|told| told.code.id).collect::<Vec<_>>(), ["D002"]);
}

#[test]
fn the_stock_declarations_are_sound_and_lead_to_the_right_table() {
    let catalog = Catalog::stock().unwrap_or_else(|found| panic!("{found:#?}"));
    for (product, category, service, expect) in [
        ("windows", "process_creation", "", &["process_activity"][..]),
        ("linux", "process_creation", "", &["process_activity"]),
        ("windows", "registry_set", "", &["registry_activity"]),
        ("windows", "ps_script", "", &["script_activity"]),
        ("windows", "pipe_created", "", &["process_access"]),
        ("windows", "wmi_event", "", &["windows_event"]),
        ("windows", "", "security", &["windows_security"]),
        ("windows", "", "system", &["windows_event"]),
        ("windows", "", "powershell-classic", &["script_activity", "windows_event"]),
        ("linux", "", "auditd", &["linux_audit"]),
        ("linux", "", "sshd", &["raw_log"]),
        ("aws", "", "cloudtrail", &["cloud_api_activity"]),
        ("kubernetes", "application", "audit", &["cloud_api_activity"]),
        ("", "webserver", "", &["http_activity"]),
        ("", "proxy", "", &["http_activity"]),
        ("", "antivirus", "", &["detection_finding_in"]),
        ("zeek", "", "dns", &["dns_activity"]),
        ("zeek", "", "dce_rpc", &["sensor_event"]),
        ("rpc_firewall", "application", "", &["windows_event"]),
        ("django", "application", "", &["raw_log"]),
        ("cobol", "application", "", &[]),
        ("zscaler", "proxy", "", &["http_activity"]),
        ("windows", "antivirus", "", &["detection_finding_in"]),
        ("squid", "proxy", "access", &["http_activity"]),
        ("", "process_creation", "", &["process_activity"]),
        ("windows", "process_creation", "sysmon", &["process_activity"]),
        ("linux", "", "apache", &["raw_log"]),
        ("fortigate", "", "event", &["raw_log"]),
        ("paloalto", "file_event", "globalprotect", &["file_activity"]),
        ("paloalto", "appliance", "globalprotect", &["raw_log"]),
        ("opencanary", "application", "", &["raw_log"]),
        // What is declared nowhere is not the rest of it.
        ("windows", "proces_creation", "", &[]),
        ("windows", "", "securty", &[]),
        ("windows", "process_creation", "symon", &[]),
        ("solaris", "process_creation", "", &[]),
        ("linux", "", "shd", &[]),
        ("fortigate", "", "evnt", &[]),
    ] {
        let routes = catalog.log_sources().routes(&source(product, category, service));
        let tables: Vec<&str> = routes.iter().map(|route| route.table.name.as_str()).collect();
        assert_eq!(tables, expect, "{product} / {category} / {service}");
    }
    // An event is a row of one of the routes only; of all of Windows there are many.
    let all = catalog.log_sources().routes(&source("windows", "", ""));
    assert_eq!(all.len(), 10);
}

#[test]
fn the_schema_for_editors_is_current() {
    let schema = document::schema_of::<LogSourcesFile>().page("Noroshi: Sigma's log sources");
    assert_committed("schemas/sigma.schema.json", &schema);
}
