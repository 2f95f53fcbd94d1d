//! The rules of others that some benches run: the public Sigma rules of the test data.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Those for Windows, unpacked into a folder; `None` without `NOROSHI_TEST_DATA`.
pub fn unpacked(folder: &Path) -> Option<PathBuf> {
    let archive = Path::new(&std::env::var_os("NOROSHI_TEST_DATA")?).join("sigma-rules.tar.xz");
    let status = Command::new("tar").arg("xJf").arg(&archive).arg("-C").arg(folder).status();
    assert!(status.expect("tar starts").success(), "tar cannot unpack {}", archive.display());
    Some(folder.join("rules/windows"))
}
