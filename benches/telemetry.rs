//! What the benches run on: the demo's synthetic telemetry, or the test data when there is some.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use noroshi::demo::telemetry::Telemetry;

/// Records of Windows events: real ones from `NOROSHI_TEST_DATA`, else synthetic ones.
pub fn windows(count: usize) -> (&'static str, Vec<Vec<u8>>) {
    match real() {
        Some(all) => ("real Windows events", all.into_iter().cycle().take(count).collect()),
        None => {
            let synthetic = Telemetry::new(1, 1_790_000_000_000_000, u64::MAX)
                .filter(|record| record.source.ends_with("-windows") && !record.damaged)
                .map(|record| record.value);
            ("synthetic Windows events", synthetic.take(count).collect())
        }
    }
}

fn real() -> Option<Vec<Vec<u8>>> {
    let folder = std::env::var_os("NOROSHI_TEST_DATA")?;
    let file = Path::new(&folder).join("windows-events-dev.ndjson.xz");
    let mut child = Command::new("xz").arg("-dc").arg(file).stdout(Stdio::piped()).spawn().ok()?;
    let mut bytes = Vec::new();
    child.stdout.take()?.read_to_end(&mut bytes).ok()?;
    child.wait().ok()?.success().then_some(())?;
    Some(bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect())
}

/// The middle of some figures.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
