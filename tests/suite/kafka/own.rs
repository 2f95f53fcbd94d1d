//! A broker that one test starts for itself, so that it can die or fall silent without disturbing others.
//!
//! Owns the calls of `scripts/kafka`; what one does with a broker is in [`Broker`].

use std::path::Path;
use std::process::{Command, Stdio};

use super::Broker;

/// A broker of one test's own, which may be stopped; removed with the value.
pub struct OwnBroker {
    folder: tempfile::TempDir,
    /// Where it listens: the same after each start.
    pub broker: Broker,
}

impl OwnBroker {
    /// Starts one.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// Starts one with settings of its own.
    pub fn with(settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let settings: Vec<String> = settings.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let mut words = vec!["start"];
        for setting in &settings {
            words.extend(["--set", setting]);
        }
        let listed = Self::script(&folder, &words);
        let variable = |name: &str| {
            let line = listed.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            line.map(str::to_owned)
        };
        let broker = Broker::from_variables(variable).expect("the script lists its listeners");
        Self { folder, broker }
    }

    /// SIGKILL.
    pub fn kill(&self) {
        Self::script(&self.folder, &["stop", "--now"]);
    }

    /// SIGSTOP: connections stay, answers do not come.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// SIGCONT.
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let process = std::fs::read_to_string(self.folder.path().join("broker/pid")).expect("its process");
        let sent = Command::new("kill").args([signal, process.trim()]).status().expect("kill starts");
        assert!(sent.success(), "kill {signal}");
    }

    /// Starts it again, with its ports and its data.
    pub fn restart(&self) {
        Self::script(&self.folder, &["start"]);
    }

    /// Gives a user another password for SCRAM-SHA-512; connections that stand stay.
    pub fn change_password(&self, user: &str, password: &str) {
        Self::script(&self.folder, &["password", user, password]);
    }

    fn script(folder: &tempfile::TempDir, words: &[&str]) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/kafka");
        let mut command = Command::new(script);
        command.args(words).arg("--dir").arg(folder.path().join("broker")).stdin(Stdio::null());
        let done = command.stderr(Stdio::inherit()).output().expect("scripts/kafka starts");
        assert!(done.status.success(), "scripts/kafka {words:?}");
        String::from_utf8_lossy(&done.stdout).into_owned()
    }
}

impl Drop for OwnBroker {
    fn drop(&mut self) {
        Self::script(&self.folder, &["stop", "--now", "--remove"]);
    }
}

mod tests {
    use std::path::PathBuf;

    use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

    use super::super::{Record, STEP_MAX, broker, unique};
    use super::*;

    /// Runs the script on the broker of all tests: exit code and both outputs.
    fn script(folder: &Path, words: &[&str]) -> (Option<i32>, String, String) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/kafka");
        let mut command = Command::new(script);
        command.args(words).arg("--dir").arg(folder).stdin(Stdio::null());
        let done = command.output().expect("scripts/kafka starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (done.status.code(), text(&done.stdout), text(&done.stderr))
    }

    /// Markers of transactions and what was aborted take offsets, and are no records.
    #[test]
    fn a_topic_is_read_to_its_end_and_a_record_by_its_place() {
        let Some(broker) = broker() else { return };
        // A broker that somebody else runs has no folder.
        let Some(folder) = std::env::var_os("NOROSHI_TEST_KAFKA_DIR").map(PathBuf::from) else { return };
        let topic = unique("script");
        broker.create_topic(&topic, 2);
        // Of another topic whose name begins alike.
        let other = format!("{topic}-1");
        broker.create_topic(&other, 1);
        broker.produce(&other, [Record::new(0, "other")]);
        assert_eq!(script(&folder, &["consume", &topic]), (Some(0), String::new(), String::new()));

        broker.produce(&topic, [Record::new(0, "a"), Record::new(1, "b")]);
        let mut config = broker.config();
        let producer: BaseProducer =
            config.set("transactional.id", unique("script")).create().expect("a producer");
        producer.init_transactions(STEP_MAX).expect("init");
        for (value, commit) in [("c", true), ("never", false), ("d", true), ("never", false)] {
            producer.begin_transaction().expect("begin");
            let record: BaseRecord<'_, (), str> = BaseRecord::to(&topic).partition(1).payload(value);
            producer.send(record).map_err(|(error, _)| error).expect("send");
            producer.flush(STEP_MAX).expect("flush");
            if commit { producer.commit_transaction(STEP_MAX) } else { producer.abort_transaction(STEP_MAX) }
                .expect("ends");
        }
        for (words, expect) in [
            (&["consume", topic.as_str()][..], vec!["a", "b", "c", "d"]),
            (&["consume", &topic, "--max", "9"], vec!["a", "b", "c", "d"]),
            (&["record", &topic, "1", "3"], vec!["never"]),
            (&["record", &topic, "1", "1"], vec!["c"]),
            (&["record", &topic, "0", "0"], vec!["a"]),
        ] {
            let (code, out, err) = script(&folder, words);
            let mut lines: Vec<&str> = out.lines().collect();
            lines.sort_unstable();
            assert_eq!((code, lines), (Some(0), expect), "{words:?}: {err}");
        }
        let (code, out, _) = script(&folder, &["consume", &topic, "--max", "2"]);
        assert_eq!((code, out.lines().count()), (Some(0), 2));
        // A marker, and nothing.
        for offset in ["2", "99"] {
            let (code, out, err) = script(&folder, &["record", &topic, "1", offset]);
            assert_eq!((code, out.as_str()), (Some(2), ""), "{err}");
            assert!(err.contains("there is no record at"), "{err}");
        }
    }
}
