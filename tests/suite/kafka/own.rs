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
        let folder = tempfile::tempdir().expect("a folder");
        let listed = Self::script(&folder, &["start"]);
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
