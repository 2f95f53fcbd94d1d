//! Which log sources of Sigma a Windows event belongs to, by Sigma's taxonomy and written by hand: the mapping files of
//! the program are not asked.

/// A log source of the product `windows`: category and service.
pub type Source = (Option<&'static str>, Option<&'static str>);

/// The services of Windows logs, by channel.
const CHANNELS: &[(&str, &str)] = &[
    ("Application", "application"),
    ("DNS Server", "dns-server"),
    ("MSExchange Management", "msexchange-management"),
    ("Microsoft-ServiceBus-Client", "microsoft-servicebus-client"),
    ("Microsoft-Windows-AppLocker/EXE and DLL", "applocker"),
    ("Microsoft-Windows-AppLocker/MSI and Script", "applocker"),
    ("Microsoft-Windows-AppLocker/Packaged app-Deployment", "applocker"),
    ("Microsoft-Windows-AppLocker/Packaged app-Execution", "applocker"),
    ("Microsoft-Windows-AppModel-Runtime/Admin", "appmodel-runtime"),
    ("Microsoft-Windows-AppXDeploymentServer/Operational", "appxdeployment-server"),
    ("Microsoft-Windows-AppxPackaging/Operational", "appxpackaging-om"),
    ("Microsoft-Windows-Bits-Client/Operational", "bits-client"),
    ("Microsoft-Windows-CAPI2/Operational", "capi2"),
    ("Microsoft-Windows-CodeIntegrity/Operational", "codeintegrity-operational"),
    ("Microsoft-Windows-DNS-Server/Analytical", "dns-server-analytic"),
    ("Microsoft-Windows-DriverFrameworks-UserMode/Operational", "driver-framework"),
    ("Microsoft-Windows-NTLM/Operational", "ntlm"),
    ("Microsoft-Windows-PowerShell/Operational", "powershell"),
    ("Microsoft-Windows-PrintService/Admin", "printservice-admin"),
    ("Microsoft-Windows-PrintService/Operational", "printservice-operational"),
    ("Microsoft-Windows-Security-Mitigations/Kernel Mode", "security-mitigations"),
    ("Microsoft-Windows-Security-Mitigations/User Mode", "security-mitigations"),
    ("Microsoft-Windows-Shell-Core/Operational", "shell-core"),
    ("Microsoft-Windows-SmbClient/Connectivity", "smbclient-connectivity"),
    ("Microsoft-Windows-SmbClient/Security", "smbclient-security"),
    ("Microsoft-Windows-Sysmon/Operational", "sysmon"),
    ("Microsoft-Windows-TaskScheduler/Operational", "taskscheduler"),
    (
        "Microsoft-Windows-TerminalServices-LocalSessionManager/Operational",
        "terminalservices-localsessionmanager",
    ),
    ("Microsoft-Windows-WMI-Activity/Operational", "wmi"),
    ("Microsoft-Windows-Windows Defender/Operational", "windefend"),
    ("Microsoft-Windows-Windows Firewall With Advanced Security/Firewall", "firewall-as"),
    ("OpenSSH/Operational", "openssh"),
    ("Security", "security"),
    ("System", "system"),
    ("Windows PowerShell", "powershell-classic"),
];

/// The log sources of an event; those that rules can name by less as well.
pub fn sources(channel: &str, id: i64, kind: &str) -> Vec<Source> {
    let service =
        CHANNELS.iter().find(|(name, _)| name.eq_ignore_ascii_case(channel)).map(|(_, service)| *service);
    let categories: &[&str] = match (service, id) {
        (Some("sysmon"), 1) | (Some("security"), 4688) => &["process_creation"],
        (Some("sysmon"), 2) => &["file_change"],
        // Windows' own audit of connections has the same fields under other names.
        (Some("sysmon"), 3) | (Some("security"), 5156) => &["network_connection"],
        (Some("sysmon"), 5) => &["process_termination"],
        (Some("sysmon"), 6) => &["driver_load"],
        (Some("sysmon"), 7) => &["image_load"],
        (Some("sysmon"), 8) => &["create_remote_thread"],
        (Some("sysmon"), 9) => &["raw_access_thread"],
        (Some("sysmon"), 10) => &["process_access"],
        (Some("sysmon"), 11) => &["file_event"],
        (Some("sysmon"), 12) if kind.eq_ignore_ascii_case("CreateKey") => &["registry_event", "registry_add"],
        (Some("sysmon"), 12) => &["registry_event", "registry_delete"],
        (Some("sysmon"), 13) => &["registry_event", "registry_set"],
        (Some("sysmon"), 14) => &["registry_event", "registry_rename"],
        (Some("sysmon"), 15) => &["create_stream_hash"],
        (Some("sysmon"), 17 | 18) => &["pipe_created"],
        (Some("sysmon"), 19..=21) => &["wmi_event"],
        (Some("sysmon"), 22) => &["dns_query"],
        (Some("sysmon"), 23 | 26) => &["file_delete"],
        (Some("sysmon"), 25) => &["process_tampering"],
        (Some("sysmon"), 27) => &["file_block_executable"],
        (Some("sysmon"), 28) => &["file_block_shredding"],
        (Some("sysmon"), 29) => &["file_executable_detected"],
        (Some("sysmon"), 255) => &["sysmon_error"],
        (Some("sysmon"), 4 | 16) => &["sysmon_status"],
        (Some("powershell"), 4103) => &["ps_module"],
        (Some("powershell"), 4104) => &["ps_script"],
        (Some("powershell-classic"), 400) => &["ps_classic_start"],
        (Some("powershell-classic"), 600) => &["ps_classic_provider_start"],
        _ => &[],
    };
    let categories = categories.iter().map(|category| (Some(*category), None));
    categories.chain(service.map(|service| (None, Some(service)))).chain([(None, None)]).collect()
}
