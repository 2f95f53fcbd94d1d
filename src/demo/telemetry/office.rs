//! Ordinary life on Windows hosts: what users, services and administrators do all day.
//!
//! Owns the mix of events. Nothing here may look like an attack: no encoded commands, no access to lsass, no
//! deletion of backups or logs, and only browsers and services speak with the outside.

use super::cast::{Address, Host, Org, Place};
use super::pen::{Log, Pen};
use super::programs::{
    self, ARCHIVE_AGENT, DOCUMENTS, EDGE, EXPLORER, Hashes, MICROSOFT, Program, SVCHOST, WINDOWS, WORD,
};
use crate::demo::clock::{Form, Stamp};

const DOMAINS: &[&str] = &[
    "www.example.com",
    "mail.example.net",
    "cdn.example.org",
    "time.example.net",
    "maps.example.com",
    "news.example.org",
    "update.vendor.example",
    "crl.authority.example",
];
const REGISTRY: &[(&str, &str, &str)] = &[
    (
        SVCHOST,
        r"HKLM\System\CurrentControlSet\Services\W32Time\Config\LastKnownGoodTime",
        "QWORD (0x01dc33a0-0x5d1f2c80)",
    ),
    (
        EXPLORER,
        r"HKU\{sid}\Software\Microsoft\Windows\CurrentVersion\Explorer\RecentDocs\MRUListEx",
        "Binary Data",
    ),
    (
        EXPLORER,
        r"HKU\{sid}\Software\Microsoft\Windows\CurrentVersion\Explorer\UserAssist\Count",
        "Binary Data",
    ),
    (
        SVCHOST,
        r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\Reporting\EventCount",
        "DWORD (0x0000001c)",
    ),
    (EDGE, r"HKU\{sid}\Software\Microsoft\Edge\BLBeacon\state", "DWORD (0x00000001)"),
];
const SCRIPTS: &[&str] = &[
    "Get-Service | Where-Object Status -eq 'Stopped' | Export-Csv -Path C:\\ProgramData\\Inventory\\services.csv",
    "Get-Volume | Select-Object DriveLetter, SizeRemaining, Size | Format-Table",
    "Get-HotFix | Sort-Object InstalledOn | Select-Object -Last 5",
    "Restart-Service -Name Spooler",
    "Test-NetConnection -ComputerName files.intranet.example -Port 445",
];
const MODULES: &[&str] = &["shcore.dll", "crypt32.dll", "winhttp.dll", "propsys.dll", "wintypes.dll"];

#[derive(Debug, Clone, Copy)]
enum Kind {
    Start,
    End,
    Connect,
    Resolve,
    Write,
    Set,
    Load,
    Access,
    LogOn,
    LogOff,
    Privileges,
    Script,
}

const KINDS: &[(u64, Kind)] = &[
    (22, Kind::Start),
    (12, Kind::End),
    (18, Kind::Connect),
    (14, Kind::Resolve),
    (8, Kind::Write),
    (9, Kind::Set),
    (4, Kind::Load),
    (2, Kind::Access),
    (5, Kind::LogOn),
    (3, Kind::LogOff),
    (2, Kind::Privileges),
    (1, Kind::Script),
];

/// One ordinary Windows event of the organisation.
pub fn write(pen: &mut Pen, org: &'static Org) -> Vec<u8> {
    let host = Host::any(org, &mut pen.random);
    match pen.random.weighted(KINDS) {
        Kind::Start => start(pen, host),
        Kind::End => {
            let image = program(pen, host).image;
            process(pen, host, 5, image);
        }
        Kind::Connect => connect(pen, host),
        Kind::Resolve => resolve(pen, host),
        Kind::Write => file(pen, host),
        Kind::Set => registry(pen, host),
        Kind::Load => load(pen, host),
        Kind::Access => access(pen, host),
        Kind::LogOn => log_on(pen, host),
        Kind::LogOff => log_off(pen, host),
        Kind::Privileges => privileges(pen, host),
        Kind::Script => script(pen, host),
    }
    pen.windows_done()
}

/// Somebody mistypes a password at the own workstation. The parent says when: the rate must stay so low that
/// rules which count failures have nothing to find.
pub fn mistyped_password(pen: &mut Pen, org: &'static Org) -> Vec<u8> {
    let host = Host::workstation(org, &mut pen.random);
    pen.windows(host, Log::Security, 4625);
    pen.field("SubjectUserSid", "S-1-5-18");
    pen.field("SubjectUserName", format_args!("{}$", host.short()));
    pen.field("SubjectDomainName", org.domain);
    pen.field("SubjectLogonId", "0x3e7");
    pen.field("TargetUserName", host.user());
    pen.field("TargetDomainName", org.domain);
    pen.field("Status", "0xc000006d");
    pen.field("SubStatus", "0xc000006a");
    pen.field("FailureReason", "%%2313");
    pen.field("LogonType", "2");
    pen.field("LogonProcessName", "User32 ");
    pen.field("AuthenticationPackageName", "Negotiate");
    pen.field("WorkstationName", host.short());
    pen.field("IpAddress", "127.0.0.1");
    pen.field("IpPort", "0");
    pen.windows_done()
}

fn program(pen: &mut Pen, host: Host) -> &'static Program {
    let programs = if host.is_server() { programs::ON_SERVERS } else { programs::ON_WORKSTATIONS };
    pen.random.weighted(programs)
}

/// What speaks with the outside: browsers, and on servers one agent.
fn outgoing(host: Host) -> &'static str {
    if host.is_server() { ARCHIVE_AGENT } else { EDGE }
}

/// The part that Sysmon's events of a process share.
fn process(pen: &mut Pen, host: Host, id: u32, image: &str) {
    let (number, guid) = (pen.process_id(), pen.guid());
    pen.windows(host, Log::Sysmon, id);
    pen.field("ProcessGuid", guid);
    pen.field("ProcessId", number);
    pen.field("Image", image);
}

fn start(pen: &mut Pen, host: Host) {
    let (n, parent_number) = (pen.random.between(2, 9_999), pen.process_id());
    let (guid, parent_guid, logon) = (pen.guid(), pen.guid(), pen.random.below(1 << 24));
    let document = pen.random.pick(DOCUMENTS);
    let program = program(pen, host);
    let line = programs::expand(pen.random.pick(program.lines), host, n, document);
    let parent = pen.random.pick(program.parents);
    process(pen, host, 1, program.image);
    let file = program.image.rsplit('\\').next().unwrap_or(program.image);
    pen.field("FileVersion", "10.0.20348.1");
    pen.field("Description", program.product);
    pen.field("Product", program.product);
    pen.field("Company", program.company);
    pen.field("OriginalFileName", file);
    pen.field("CommandLine", line);
    pen.field("CurrentDirectory", r"C:\Windows\System32\");
    user(pen, host, program.system);
    pen.field("LogonGuid", guid);
    pen.field("LogonId", format_args!("0x{logon:x}"));
    pen.field("TerminalSessionId", if program.system { "0" } else { "1" });
    pen.field("IntegrityLevel", if program.system { "System" } else { "Medium" });
    pen.field("Hashes", Hashes(program.image));
    pen.field("ParentProcessGuid", parent_guid);
    pen.field("ParentProcessId", parent_number);
    pen.field("ParentImage", parent);
    pen.field("ParentCommandLine", parent);
}

fn connect(pen: &mut Pen, host: Host) {
    let (image, destination, port) = match pen.random.below(10) {
        0..3 => (outgoing(host), Address::outside(&mut pen.random), 443),
        3 => (outgoing(host), Address::outside(&mut pen.random), 80),
        _ => {
            let at = pen.random.below(host.org.servers.len() as u64) as usize;
            let server = Host { org: host.org, place: Place::Server(at) };
            (SVCHOST, server.address(), pen.random.pick(&[389, 88, 445, 443, 1433, 135]))
        }
    };
    let source_port = pen.random.between(49_152, 65_535);
    process(pen, host, 3, image);
    user(pen, host, image != EDGE);
    pen.field("Protocol", "tcp");
    pen.field("Initiated", "true");
    pen.field("SourceIsIpv6", "false");
    pen.field("SourceIp", host.address());
    pen.field("SourceHostname", host);
    pen.field("SourcePort", source_port);
    pen.field("SourcePortName", "-");
    pen.field("DestinationIsIpv6", "false");
    pen.field("DestinationIp", destination);
    pen.field("DestinationHostname", "-");
    pen.field("DestinationPort", port);
    pen.field("DestinationPortName", if port == 443 { "https" } else { "-" });
}

fn resolve(pen: &mut Pen, host: Host) {
    let name = pen.random.pick(DOMAINS);
    let answer = Address::outside(&mut pen.random);
    process(pen, host, 22, outgoing(host));
    pen.field("QueryName", name);
    pen.field("QueryStatus", "0");
    pen.field("QueryResults", format_args!("::ffff:{answer};"));
}

fn file(pen: &mut Pen, host: Host) {
    let (document, n) = (pen.random.pick(DOCUMENTS), pen.random.below(10_000));
    let now = pen.now;
    let image = if host.is_server() { ARCHIVE_AGENT } else { WORD };
    process(pen, host, 11, image);
    if host.is_server() {
        pen.field("TargetFilename", format_args!(r"D:\archive\nightly-{n:04}.part"));
    } else {
        let name = host.user();
        pen.field("TargetFilename", format_args!(r"C:\Users\{name}\Documents\~${document}-{n}.docx"));
    }
    pen.field("CreationUtcTime", Stamp { us: now, form: Form::Sysmon });
}

fn registry(pen: &mut Pen, host: Host) {
    let (image, key, value) = pen.random.pick(REGISTRY);
    process(pen, host, 13, image);
    pen.field("EventType", "SetValue");
    match key.split_once("{sid}") {
        Some((before, after)) => {
            let (sid, rid) = (host.org.sid, host.user().rid());
            pen.field("TargetObject", format_args!("{before}{sid}-{rid}{after}"));
        }
        None => pen.field("TargetObject", key),
    }
    pen.field("Details", value);
}

fn load(pen: &mut Pen, host: Host) {
    let module = pen.random.pick(MODULES);
    process(pen, host, 7, SVCHOST);
    pen.field("ImageLoaded", format_args!(r"C:\Windows\System32\{module}"));
    pen.field("OriginalFileName", module);
    pen.field("Company", MICROSOFT);
    pen.field("Product", WINDOWS);
    pen.field("Hashes", Hashes(module));
    pen.field("Signed", "true");
    pen.field("Signature", "Microsoft Windows");
    pen.field("SignatureStatus", "Valid");
}

fn access(pen: &mut Pen, host: Host) {
    let target = program(pen, host).image;
    let (source_number, target_number) = (pen.process_id(), pen.process_id());
    let (source_guid, target_guid) = (pen.guid(), pen.guid());
    pen.windows(host, Log::Sysmon, 10);
    pen.field("SourceProcessGUID", source_guid);
    pen.field("SourceProcessId", source_number);
    pen.field("SourceImage", SVCHOST);
    pen.field("TargetProcessGUID", target_guid);
    pen.field("TargetProcessId", target_number);
    pen.field("TargetImage", target);
    pen.field("GrantedAccess", "0x1000");
    pen.field("CallTrace", r"C:\Windows\SYSTEM32\ntdll.dll+9d4c4|C:\Windows\System32\KERNELBASE.dll+2c13e");
}

fn log_on(pen: &mut Pen, host: Host) {
    // People come from workstations: to servers over the network, now and then by remote desktop.
    let from = Host::workstation(host.org, &mut pen.random);
    let kind = match (host.is_server(), pen.random.below(20)) {
        (true, 0) => "10",
        (true, _) => "3",
        (false, 0..6) => "7",
        (false, _) => "2",
    };
    let address = if host.is_server() { from.address() } else { Address([127, 0, 0, 1]) };
    let who = if host.is_server() { from.user() } else { host.user() };
    let (logon, port) = (pen.random.below(1 << 24), pen.random.between(49_152, 65_535));
    pen.windows(host, Log::Security, 4624);
    pen.field("SubjectUserSid", "S-1-5-18");
    pen.field("SubjectUserName", format_args!("{}$", host.short()));
    pen.field("SubjectDomainName", host.org.domain);
    pen.field("SubjectLogonId", "0x3e7");
    pen.field("TargetUserSid", format_args!("{}-{}", host.org.sid, who.rid()));
    pen.field("TargetUserName", who);
    pen.field("TargetDomainName", host.org.domain);
    pen.field("TargetLogonId", format_args!("0x{logon:x}"));
    pen.field("LogonType", kind);
    pen.field("LogonProcessName", "Kerberos");
    pen.field("AuthenticationPackageName", "Kerberos");
    pen.field("WorkstationName", if host.is_server() { from.short() } else { host.short() });
    pen.field("IpAddress", address);
    pen.field("IpPort", port);
    pen.field("ElevatedToken", "%%1843");
}

fn log_off(pen: &mut Pen, host: Host) {
    let logon = pen.random.below(1 << 24);
    pen.windows(host, Log::Security, 4634);
    pen.field("TargetUserSid", format_args!("{}-{}", host.org.sid, host.user().rid()));
    pen.field("TargetUserName", host.user());
    pen.field("TargetDomainName", host.org.domain);
    pen.field("TargetLogonId", format_args!("0x{logon:x}"));
    pen.field("LogonType", "3");
}

fn privileges(pen: &mut Pen, host: Host) {
    pen.windows(host, Log::Security, 4672);
    pen.field("SubjectUserSid", "S-1-5-18");
    pen.field("SubjectUserName", format_args!("{}$", host.short()));
    pen.field("SubjectDomainName", host.org.domain);
    pen.field("SubjectLogonId", "0x3e7");
    pen.field("PrivilegeList", "SeSecurityPrivilege\r\n\t\t\tSeBackupPrivilege\r\n\t\t\tSeRestorePrivilege");
}

fn script(pen: &mut Pen, host: Host) {
    let text = pen.random.pick(SCRIPTS);
    let id = pen.guid();
    pen.windows(host, Log::PowerShell, 4104);
    pen.field("MessageNumber", "1");
    pen.field("MessageTotal", "1");
    pen.field("ScriptBlockText", text);
    pen.field("ScriptBlockId", id);
    pen.field("Path", r"C:\ProgramData\Inventory\collect.ps1");
}

fn user(pen: &mut Pen, host: Host, system: bool) {
    if system {
        pen.field("User", r"NT AUTHORITY\SYSTEM");
    } else {
        pen.field("User", format_args!(r"{}\{}", host.org.domain, host.user()));
    }
}
