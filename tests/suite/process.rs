//! The program as a process: started, watched, killed.
//!
//! Owns the child and its output; a test that fails leaves no process behind.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Longest wait for anything that a healthy process does.
pub const WAIT_MAX: Duration = Duration::from_secs(120);

/// The program that this test run has built.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_noroshi"));
    command.stdin(Stdio::null()).env_remove("NOROSHI_INSTANCE").env("NO_COLOR", "1");
    command
}

/// What a finished command printed.
#[derive(Debug)]
pub struct Finished {
    /// Exit code.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// Runs a command to its end.
pub fn finish(command: &mut Command) -> Finished {
    let output = command.output().expect("the program starts");
    Finished {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs a command with bytes on its standard input.
pub fn finish_with(command: &mut Command, input: &[u8]) -> Finished {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    // Small enough for the pipe's buffer; a program that does not read it may have ended already.
    assert!(input.len() < 60_000, "{} bytes would block", input.len());
    let _ = stdin.write_all(input);
    drop(stdin);
    let output = child.wait_with_output().expect("the program ends");
    Finished {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A running `noroshi run`.
pub struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts a pipeline against a broker; the log goes to a file in `folder`.
    pub fn start(folder: &Path, pipeline: &Path, settings: &[String]) -> Self {
        let mut command = program();
        command.arg("run").arg("--pipeline").arg(pipeline).args(["--instance", "test"]);
        for setting in settings {
            command.arg("--set").arg(setting);
        }
        Self::spawn(folder, &mut command)
    }

    /// Starts any command of the program; what it prints goes to a file in `folder`.
    pub fn spawn(folder: &Path, command: &mut Command) -> Self {
        let log = folder.join(format!("run-{}.log", fs::read_dir(folder).expect("folder").count()));
        let file = fs::File::create(&log).expect("a log file");
        let out = file.try_clone().expect("the log file again");
        let child = command.stdout(out).stderr(file).spawn().expect("the program starts");
        Self { child, log }
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything printed so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// SIGKILL: nothing gets a chance to clean up.
    pub fn kill(mut self) -> String {
        self.child.kill().expect("kills");
        self.child.wait().expect("ends");
        self.log()
    }

    /// SIGTERM, then the exit status.
    pub fn terminate(mut self) -> (ExitStatus, String) {
        self.signal("TERM");
        let status = self.wait();
        (status, self.log())
    }

    /// Sends a signal.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(sent.expect("kill starts").success(), "kill -{name}");
    }

    /// Waits for the end.
    pub fn wait(&mut self) -> ExitStatus {
        let log = self.log.clone();
        let context = || fs::read_to_string(&log).unwrap_or_default();
        until("the process to end", || self.child.try_wait().expect("a child"), context)
    }

    /// True while it runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_none()
    }

    /// Polls until something holds; a process that ends meanwhile is a failure.
    pub fn runs_until(&mut self, what: &str, mut holds: impl FnMut() -> bool) {
        let deadline = Instant::now() + WAIT_MAX;
        while !holds() {
            assert!(self.runs(), "ended before {what}\n{}", self.log());
            assert!(Instant::now() < deadline, "waited {WAIT_MAX:?} for {what}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What the kernel says of its memory, in KiB: `VmRSS` now, `VmHWM` at its peak.
    pub fn memory_kib(&self, key: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with(key)).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("the kernel tells")
    }

    /// Waits for the HTTP endpoint's address in the log.
    pub fn http(&self) -> String {
        let find = || {
            let log = self.log();
            let (_, after) = log.split_once("address=").or_else(|| log.split_once("\"address\":"))?;
            Some(after.split([' ', ',', '\n']).next()?.trim_matches('"').to_owned())
        };
        until("the HTTP address in the log", find, || self.log())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Polls until there is something.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>, context: impl Fn() -> String) -> T {
    let deadline = Instant::now() + WAIT_MAX;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {WAIT_MAX:?} for {what}\n{}", context());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// `GET path`: status code and body.
pub fn get(address: &str, path: &str) -> (u16, String) {
    try_get(address, path).expect("the endpoint answers")
}

/// The same of a process that may be gone: `None`.
pub fn try_get(address: &str, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let code = head.split_whitespace().nth(1).and_then(|code| code.parse().ok())?;
    Some((code, body.to_owned()))
}
