//! What the machine denies: no disk, no room for logs, few file descriptors, a broker that was never there. On a real
//! broker, as processes.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::delivery::{PARTITIONS, Setup, repository};
use super::kafka::own::OwnBroker;
use super::kafka::{Broker, Record, broker};
use super::process::{Running, finish, get, program, until};

const EVENT: &str =
    r#"{"Channel":"Security","EventID":1102,"Hostname":"h","EventTime":"2026-01-02 03:04:05"}"#;
const ORGANISATION: &str = "power";
const PROGRAM: &str = env!("CARGO_BIN_EXE_noroshi");

/// In a namespace of its own: everything is read-only, and `/tmp` is an empty place that takes nothing. The working
/// folder stays reachable under its relative path.
const READ_ONLY: &str = "mount -o remount,bind,ro / && mount -t tmpfs -o ro none /tmp && exec \"$0\" \"$@\"";
/// In a namespace of its own: logs go to a disk of 1 MB that is full.
const FULL_DISK: &str = "mount -t tmpfs -o size=1m none /mnt && { head -c 2M /dev/zero >/mnt/fill || true; } 2>/dev/null \
     && exec \"$0\" \"$@\" >/mnt/out 2>/mnt/log";

/// Whether this machine lets us have namespaces of our own; says so when it does not.
fn namespaces() -> bool {
    let done = Command::new("unshare").args(["-rm", "true"]).stderr(Stdio::null()).status();
    let granted = done.is_ok_and(|status| status.success());
    if !granted {
        let _ = writeln!(std::io::stderr(), "skipped: `unshare -rm` is not permitted here, or not there");
    }
    granted
}

/// The program behind a script of the shell, in a folder; with `root` as the root of a namespace of its own.
fn behind(script: &str, root: bool, folder: &Path, args: &[&str]) -> Command {
    let mut command = if root { Command::new("unshare") } else { Command::new("sh") };
    if root {
        command.args(["-rm", "sh"]);
    }
    command.args(["-c", script, PROGRAM]).args(args).current_dir(folder);
    command.stdin(Stdio::null()).env_remove("NOROSHI_INSTANCE").env_remove("TMPDIR").env("NO_COLOR", "1");
    command
}

fn produce(broker: &Broker, setup: &Setup, records: usize) {
    let records = (0..records)
        .map(|number| Record::new(i32::try_from(number % PARTITIONS).expect("few"), EVENT.to_owned()));
    broker.produce(&setup.topic(ORGANISATION), records);
}

fn setup(broker: &Broker) -> Setup {
    Setup::new(broker, &repository("rules/windows/security_log_cleared.sql"), "earliest")
}

/// The arguments of a service with one lane, in the folder of its pipeline.
fn service(broker: &Broker, more: &[&str]) -> Vec<String> {
    let servers = format!("kafka.bootstrap_servers={}", broker.plaintext);
    let mut args: Vec<String> = ["run", "--pipeline", ".", "--instance", "a"].map(str::to_owned).to_vec();
    for setting in [servers.as_str(), "lanes.count=1"].iter().chain(more) {
        args.extend(["--set".to_owned(), (*setting).to_owned()]);
    }
    args
}

fn words(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

/// Waits until the service has committed so much; it must not end.
fn commits(running: &mut Running, broker: &Broker, setup: &Setup, records: i64) {
    running.runs_until("everything is committed", || setup.committed(broker) == records);
}

#[test]
fn a_service_needs_no_disk_and_no_log() {
    let Some(broker) = broker() else { return };
    let granted = namespaces();
    for (what, script, root) in [
        ("nothing may be written", READ_ONLY, true),
        ("the log's disk is full", FULL_DISK, true),
        ("both streams are full", "exec \"$0\" \"$@\" >/dev/full 2>/dev/full", false),
        ("both streams are closed", "exec \"$0\" \"$@\" >&- 2>&-", false),
        ("no place for temporary files", "TMPDIR=/nowhere exec \"$0\" \"$@\"", false),
    ] {
        if root && !granted {
            continue;
        }
        let setup = setup(broker);
        produce(broker, &setup, 40);
        let args = service(broker, &["http.enabled=false", "log.level=debug"]);
        let mut running = Running::spawn(
            setup.folder.path(),
            &mut behind(script, root, setup.folder.path(), &words(&args)),
        );
        commits(&mut running, broker, &setup, 40);
        let (ended, log) = running.terminate();
        assert_eq!(ended.code(), Some(0), "{what}: {log}");
        assert!(!log.contains("panicked"), "{what}: {log}");
        assert_eq!(broker.committed_now(&setup.alerts).len(), 40, "{what}");
    }
}

#[test]
fn commands_need_no_disk_either_and_tell_when_their_output_finds_no_room() {
    if !namespaces() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("shell.sql"), super::cli::SHELL).expect("writes");
    let event = r#"{"Channel":"Microsoft-Windows-Sysmon/Operational","EventID":1,"UtcTime":"2026-10-03 01:00:00.123","Hostname":"ws1","Image":"C:\\Windows\\cmd.exe"}"#;
    std::fs::write(folder.path().join("events"), format!("{event}\n").repeat(6_000)).expect("writes");
    let scan = ["scan", "--rules", "shell.sql", "--source", "windows-json", "events"];
    for args in [
        &scan[..],
        &["check", "shell.sql"],
        &["test", "shell.sql"],
        &["demo", "--records", "500", "--rate", "0"],
    ] {
        let usual = finish(program().current_dir(folder.path()).args(args));
        let done = finish(&mut behind(READ_ONLY, true, folder.path(), args));
        assert_eq!(done.code, Some(0), "{args:?}: {}", done.err);
        // The demo tells how long it took.
        let lines = |text: &str| text.lines().count();
        assert_eq!(lines(&done.out), lines(&usual.out), "{args:?}: {}", done.out);
    }
    // A disk that becomes full on the way: what is on it is the beginning, and the exit code says that it is no more.
    let whole = finish(program().current_dir(folder.path()).args(scan)).out;
    assert!(whole.len() > 1 << 20, "{} bytes fit", whole.len());
    let script =
        "mount -t tmpfs -o size=1m none /mnt; \"$0\" \"$@\" >/mnt/out; code=$?; cat /mnt/out; exit $code";
    let done = finish(&mut behind(script, true, folder.path(), &scan));
    assert_eq!(done.code, Some(6), "{}", done.err);
    assert_eq!(done.err.trim_end(), "noroshi: cannot write: No space left on device (os error 28)");
    assert!(!done.out.is_empty() && whole.starts_with(&done.out), "{} bytes", done.out.len());
}

#[test]
fn rejects_that_cannot_be_shown_are_told() {
    let Some(broker) = broker() else { return };
    let setup = setup(broker);
    broker.produce(&setup.topic(ORGANISATION), [Record::new(0, "{".to_owned())]);
    let mut running = setup.run(broker, 1, &[]);
    commits(&mut running, broker, &setup, 1);
    let (ended, log) = running.terminate();
    assert_eq!(ended.code(), Some(0), "{log}");
    let servers = format!("kafka.bootstrap_servers={}", broker.plaintext);
    let position = format!("{}/0/0", setup.rejects);
    for args in [
        &["dlq", "list"][..],
        &["dlq", "list", "--format", "json"],
        &["dlq", "show", &position],
        &["dlq", "show", "--raw", &position],
        &["dlq", "replay", "--all", "--dry-run"],
        &["topics"],
    ] {
        let args = [args, &["--pipeline", ".", "--set", &servers]].concat();
        let folder = setup.folder.path();
        let done = finish(&mut behind("exec \"$0\" \"$@\"", false, folder, &args));
        assert!(matches!(done.code, Some(0 | 1)) && !done.out.is_empty(), "{args:?}: {}", done.err);
        let done = finish(&mut behind("exec \"$0\" \"$@\" >/dev/full", false, folder, &args));
        assert_eq!(done.code, Some(6), "{args:?}: {}", done.err);
        assert!(done.err.ends_with("cannot write: No space left on device (os error 28)\n"), "{}", done.err);
    }
}

/// A folder with a pipeline that needs no broker to be read.
fn pipeline() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let rules = repository("rules/windows/security_log_cleared.sql");
    let text = format!(
        "name = \"p\"\nrules = [{:?}]\n[[organisation]]\nid = \"power\"\nname = \"P\"\n[[source]]\nid = \"power-windows\"\n\
         organisation = \"power\"\ntopics = [\"in.power\"]\nformat = \"windows-json\"\nstart = \"earliest\"\n\
         [alerts]\ntopic = \"alerts\"\n[rejects]\ntopic = \"dead\"\n",
        rules.display().to_string()
    );
    std::fs::write(folder.path().join("pipeline.toml"), text).expect("writes");
    folder
}

/// A broker that was never there: the look at it lasts 15 s and then fails, but a stop need not wait for that.
#[test]
fn a_service_that_has_not_begun_stops_in_order() {
    let folder = pipeline();
    // A port that nobody listens on, and one that takes connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent = silent.local_addr().expect("an address");
    for servers in ["127.0.0.1:1".to_owned(), silent.to_string()] {
        let servers = format!("kafka.bootstrap_servers={servers}");
        let args = ["run", "--pipeline", ".", "--instance", "a", "--set", &servers];
        let running = Running::spawn(folder.path(), program().current_dir(folder.path()).args(args));
        until(
            "it looks for the broker",
            || running.log().contains("looks at the broker").then_some(()),
            || running.log(),
        );
        let (ended, log) = running.terminate();
        assert_eq!(ended.code(), Some(0), "{servers}: {log}");
        assert!(log.contains("ends before it has begun") && !log.contains("no broker answers"), "{log}");
    }
}

/// The Kafka clients of the tests beside this one leave their files open to every child.
const CLOSE_INHERITED: &str = "for file in /proc/self/fd/*; do number=${file##*/}; \
                               [ \"$number\" -le 2 ] || eval \"exec $number>&-\"; done;";

/// The configuration is a pipe: the service stands at the very first thing that it reads until somebody writes.
#[test]
fn a_signal_while_a_service_begins_is_heard() {
    for (signals, written, expect) in [
        (&["TERM"][..], true, 0),
        (&["INT"], true, 0),
        (&["HUP", "TERM"], true, 0),
        (&["HUP", "HUP", "INT"], true, 0),
        // What it reads may lie where reading takes for ever.
        (&["TERM", "INT"], false, 5),
    ] {
        let folder = pipeline();
        let config = folder.path().join("noroshi.toml");
        assert!(Command::new("mkfifo").arg(&config).status().expect("coreutils").success());
        let mut command = program();
        command.args(["run", "--instance", "a", "--pipeline", ".", "--config"]).arg(&config);
        command.args(["--set", "kafka.bootstrap_servers=127.0.0.1:1", "--set", "http.enabled=false"]);
        let mut running = Running::spawn(folder.path(), command.current_dir(folder.path()));
        // Opened once the other end is.
        let mut pipe = std::fs::OpenOptions::new().write(true).open(&config).expect("the pipe");
        for signal in signals {
            running.signal(signal);
            // Two signals at the same time may count as one.
            let status = format!("/proc/{}/status", running.id());
            until("the signal is taken", || settled(&status).then_some(()), || running.log());
        }
        if written {
            pipe.write_all(b"# Nothing to say.\n").expect("it reads");
            drop(pipe);
        }
        let exit = running.wait();
        assert_eq!(exit.code(), Some(expect), "{signals:?}: {exit}\n{}", running.log());
    }
}

/// Whether no signal waits for a process, and none of its threads does anything.
fn settled(status: &str) -> bool {
    let text = std::fs::read_to_string(status).unwrap_or_default();
    let pending = text.lines().filter(|line| line.starts_with("SigPnd:") || line.starts_with("ShdPnd:"));
    let tasks = std::fs::read_dir(status.replace("status", "task")).into_iter().flatten().flatten();
    let mut stats = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("stat")).ok());
    // Asleep, or gone.
    let asleep =
        stats.all(|stat| stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with(['S', 'Z', 'X'])));
    pending.filter(|line| !line.ends_with("0000000000000000")).count() == 0 && asleep
}

/// With few file descriptors a service works, or says in a line why it does not.
#[test]
fn few_file_descriptors_are_enough_or_are_told() {
    let Some(broker) = broker() else { return };
    let setup = setup(broker);
    let mut produced = 0;
    let mut worked = Vec::new();
    for limit in [4, 8, 16, 32, 64, 72, 96] {
        produce(broker, &setup, 4);
        produced += 4;
        let script =
            format!("exec bash -c '{CLOSE_INHERITED} ulimit -n {limit} && exec \"$0\" \"$@\"' \"$0\" \"$@\"");
        let args = service(broker, &["http.listen=127.0.0.1:0"]);
        let folder = setup.folder.path();
        let mut running = Running::spawn(folder, &mut behind(&script, false, folder, &words(&args)));
        let ends = until(
            "it has committed everything, or ended",
            || (!running.runs() || setup.committed(broker) == produced).then(|| !running.runs()),
            String::new,
        );
        let (ended, log) = if ends { (running.wait(), running.log()) } else { running.terminate() };
        assert!(!log.contains("panicked"), "{limit}: {log}");
        if ends {
            let told = log.lines().count() == 1 && log.contains("raise `ulimit -n`");
            assert!(ended.code() == Some(2) && told, "{limit}: {ended:?} {log}");
        } else {
            assert_eq!(ended.code(), Some(0), "{limit}: {log}");
            worked.push(limit);
        }
    }
    assert_eq!(worked, [72, 96]);
}

/// A service that runs out of descriptors while it runs goes on as soon as there are some.
#[test]
fn a_service_that_runs_out_of_file_descriptors_finds_its_way_back() {
    if broker().is_none() {
        return;
    }
    let own = OwnBroker::start();
    let setup = setup(&own.broker);
    produce(&own.broker, &setup, 40);
    let args = service(
        &own.broker,
        &["http.listen=127.0.0.1:0", "log.level=info,noroshi::sink=debug,noroshi::source=debug"],
    );
    let folder = setup.folder.path();
    let mut running = Running::spawn(folder, &mut behind("exec \"$0\" \"$@\"", false, folder, &words(&args)));
    commits(&mut running, &own.broker, &setup, 40);
    let address = running.http();
    let limit = |soft: u32| {
        let done = Command::new("prlimit")
            .args(["--pid", &running.id().to_string(), &format!("--nofile={soft}:")])
            .status();
        assert!(done.expect("prlimit of util-linux starts").success(), "prlimit");
    };
    limit(3);
    own.kill();
    own.restart();
    produce(&own.broker, &setup, 40);
    until(
        "it cannot connect",
        || running.log().contains("Too many open files").then_some(()),
        || running.log(),
    );
    limit(1_024);
    commits(&mut running, &own.broker, &setup, 80);
    running.runs_until("it is ready again", || get(&address, "/ready").0 == 200);
    let (ended, log) = running.terminate();
    assert_eq!(ended.code(), Some(0), "{log}");
    assert_eq!(own.broker.committed_now(&setup.alerts).len(), 80);
}

/// A changed set is compiled beside the lanes: who asks for a stop meanwhile does not wait for it.
#[test]
fn a_stop_does_not_wait_for_a_changed_set() {
    let Some(broker) = broker() else { return };
    let rules = tempfile::tempdir().expect("a folder");
    let rule = |id: &str| {
        let text = format!(
            "/*---\nid: {id}\ntitle: {id}\n---*/\nSELECT Computer FROM windows_security WHERE EventID = 1102\n"
        );
        std::fs::write(rules.path().join(format!("{id}.sql")), text).expect("writes");
    };
    rule("every");
    let setup = Setup::new(broker, rules.path(), "earliest");
    produce(broker, &setup, 4);
    let mut running = setup.run(broker, 1, &["reload.interval_ms=60000"]);
    commits(&mut running, broker, &setup, 4);
    (0..800).for_each(|number| rule(&format!("more-{number}")));
    running.signal("HUP");
    let (ended, log) = running.terminate();
    assert_eq!(ended.code(), Some(0), "{log}");
    assert!(!log.contains("panicked") && !log.contains("generation=2"), "it had time to compile\n{log}");
}
