//! The programs that run on ordinary days, and what their command lines look like.
//!
//! Owns lists; which event shows a program is left to `office` and `attack`.

use std::fmt::Write;

use super::cast::Host;
use super::random::Random;

/// A program that runs on ordinary days.
pub struct Program {
    /// Path of its file.
    pub image: &'static str,
    /// Who made it.
    pub company: &'static str,
    /// What it belongs to.
    pub product: &'static str,
    /// Paths of what may start it.
    pub parents: &'static [&'static str],
    /// Command lines; `{n}` is a number, `{doc}` a document, `{user}` the user.
    pub lines: &'static [&'static str],
    /// True when the system runs it and not the user.
    pub system: bool,
}

/// The shell of a user's session.
pub const EXPLORER: &str = r"C:\Windows\explorer.exe";
/// The host of services.
pub const SVCHOST: &str = r"C:\Windows\System32\svchost.exe";
/// The browser.
pub const EDGE: &str = r"C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe";
/// The word processor.
pub const WORD: &str = r"C:\Program Files\Microsoft Office\root\Office16\WINWORD.EXE";
/// The shell for administration.
pub const POWERSHELL: &str = r"C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe";
/// What saves servers.
pub const ARCHIVE_AGENT: &str = r"C:\Program Files\Archive Agent\archive-agent.exe";
/// A company.
pub const MICROSOFT: &str = "Microsoft Corporation";
/// A product.
pub const WINDOWS: &str = "Microsoft Windows Operating System";
const SERVICES: &str = r"C:\Windows\System32\services.exe";
const OFFICE: &str = "Microsoft Office";

/// What runs on workstations, and how often.
pub const ON_WORKSTATIONS: &[(u64, Program)] = &[
    (
        9,
        Program {
            image: EDGE,
            company: MICROSOFT,
            product: "Microsoft Edge",
            parents: &[EDGE, EDGE, EXPLORER],
            lines: &[
                r#""C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe" --type=renderer --lang=ja --renderer-client-id={n}"#,
                r#""C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe" --type=utility --utility-sub-type=network.mojom.NetworkService --lang=ja"#,
                r#""C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe" https://intranet.example/notice/{n}"#,
            ],
            system: false,
        },
    ),
    (
        5,
        Program {
            image: WORD,
            company: MICROSOFT,
            product: OFFICE,
            parents: &[EXPLORER, r"C:\Program Files\Microsoft Office\root\Office16\OUTLOOK.EXE"],
            lines: &[
                r#""C:\Program Files\Microsoft Office\root\Office16\WINWORD.EXE" /n "C:\Users\{user}\Documents\{doc}-{n}.docx""#,
            ],
            system: false,
        },
    ),
    (
        5,
        Program {
            image: r"C:\Program Files\Microsoft Office\root\Office16\EXCEL.EXE",
            company: MICROSOFT,
            product: OFFICE,
            parents: &[EXPLORER],
            lines: &[
                r#""C:\Program Files\Microsoft Office\root\Office16\EXCEL.EXE" "C:\Users\{user}\Documents\{doc}-{n}.xlsx""#,
            ],
            system: false,
        },
    ),
    (
        2,
        Program {
            image: r"C:\Windows\splwow64.exe",
            company: MICROSOFT,
            product: WINDOWS,
            parents: &[r"C:\Program Files\Microsoft Office\root\Office16\EXCEL.EXE"],
            lines: &[r"C:\Windows\splwow64.exe 12288"],
            system: false,
        },
    ),
    (
        3,
        Program {
            image: r"C:\Windows\System32\notepad.exe",
            company: MICROSOFT,
            product: WINDOWS,
            parents: &[EXPLORER],
            lines: &[r#""C:\Windows\System32\notepad.exe" C:\Users\{user}\Desktop\memo-{n}.txt"#],
            system: false,
        },
    ),
    (4, TASK_HOST),
    (5, SERVICE_HOST),
    (2, INVENTORY),
    (2, SEARCH),
];

/// What runs on servers, and how often.
pub const ON_SERVERS: &[(u64, Program)] = &[
    (6, SERVICE_HOST),
    (3, TASK_HOST),
    (3, INVENTORY),
    (1, SEARCH),
    (
        3,
        Program {
            image: ARCHIVE_AGENT,
            company: "Example Storage",
            product: "Archive Agent",
            parents: &[SERVICES],
            lines: &[
                r#""C:\Program Files\Archive Agent\archive-agent.exe" run --job nightly-{n} --incremental"#,
            ],
            system: true,
        },
    ),
    (
        2,
        Program {
            image: r"C:\Program Files\Java\jre\bin\java.exe",
            company: "Example Runtime",
            product: "Java Platform",
            parents: &[SERVICES],
            lines: &[
                r#""C:\Program Files\Java\jre\bin\java.exe" -Xmx2g -jar D:\apps\reporting.jar --part {n}"#,
            ],
            system: true,
        },
    ),
];

const SERVICE_HOST: Program = Program {
    image: SVCHOST,
    company: MICROSOFT,
    product: WINDOWS,
    parents: &[SERVICES],
    lines: &[
        r"C:\Windows\System32\svchost.exe -k netsvcs -p -s Schedule",
        r"C:\Windows\System32\svchost.exe -k netsvcs -p -s wlidsvc",
        r"C:\Windows\System32\svchost.exe -k LocalService -p -s nsi",
        r"C:\Windows\System32\svchost.exe -k wsappx -p -s ClipSVC",
    ],
    system: true,
};
const TASK_HOST: Program = Program {
    image: r"C:\Windows\System32\taskhostw.exe",
    company: MICROSOFT,
    product: WINDOWS,
    parents: &[SVCHOST],
    lines: &["taskhostw.exe", "taskhostw.exe SYSTEM", "taskhostw.exe KEYROAMING"],
    system: true,
};
const INVENTORY: Program = Program {
    image: POWERSHELL,
    company: MICROSOFT,
    product: WINDOWS,
    parents: &[SVCHOST],
    lines: &[
        r"powershell.exe -NoProfile -File C:\ProgramData\Inventory\collect.ps1 -Round {n}",
        r"powershell.exe -NoProfile -File C:\ProgramData\Inventory\disk-report.ps1",
    ],
    system: true,
};
const SEARCH: Program = Program {
    image: r"C:\Windows\System32\SearchProtocolHost.exe",
    company: MICROSOFT,
    product: WINDOWS,
    parents: &[r"C:\Windows\System32\SearchIndexer.exe"],
    lines: &[r#""C:\Windows\System32\SearchProtocolHost.exe" Global\UsGthrFltPipeMssGthrPipe{n}_ 1"#],
    system: true,
};

/// What documents are called.
pub const DOCUMENTS: &[&str] =
    &["minutes", "budget", "schedule", "report", "draft", "会議資料", "予算案", "点検記録"];
/// Fills in the variables of a command line.
pub fn expand(template: &str, host: Host, n: u64, document: &str) -> String {
    let mut line = String::with_capacity(template.len() + 32);
    let mut rest = template;
    while let Some((before, variable)) = rest.split_once('{') {
        line.push_str(before);
        let (name, after) = variable.split_once('}').unwrap_or((variable, ""));
        // Writing to a String does not fail.
        let _ = match name {
            "n" => write!(line, "{n}"),
            "doc" => write!(line, "{document}"),
            _ => write!(line, "{}", host.user()),
        };
        rest = after;
    }
    line.push_str(rest);
    line
}

/// Hash values of a file, always the same for the same name. They are made up.
#[derive(Debug, Clone, Copy)]
pub struct Hashes(pub &'static str);

impl std::fmt::Display for Hashes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seed = self.0.bytes().fold(0_u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
        let mut random = Random::new(seed);
        write!(f, "MD5={:016X}{:016X},SHA256=", random.bits(), random.bits())?;
        (0..4).try_for_each(|_| write!(f, "{:016X}", random.bits()))
    }
}
