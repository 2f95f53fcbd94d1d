//! Which log sources of Sigma a Windows event belongs to, written by hand: the mapping files of the program are not
//! asked.
//!
//! `TAXONOMY` is Sigma's own, its appendix of the taxonomy at version 2.1.0. `BESIDE` is what the mapping files add to
//! it, and who else does: a comparison cannot show whether that is right, only that it is done as it is told.

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

/// The categories of Sigma's taxonomy, by service and event id.
const TAXONOMY: &[(&str, &[i64], &str)] = &[
    ("sysmon", &[1], "process_creation"),
    ("sysmon", &[2], "file_change"),
    ("sysmon", &[3], "network_connection"),
    ("sysmon", &[4, 16], "sysmon_status"),
    ("sysmon", &[5], "process_termination"),
    ("sysmon", &[6], "driver_load"),
    ("sysmon", &[7], "image_load"),
    ("sysmon", &[8], "create_remote_thread"),
    ("sysmon", &[9], "raw_access_thread"),
    ("sysmon", &[10], "process_access"),
    ("sysmon", &[11], "file_event"),
    ("sysmon", &[12, 13, 14], "registry_event"),
    // The same id twice: rules tell them apart by `EventType`.
    ("sysmon", &[12], "registry_add"),
    ("sysmon", &[12], "registry_delete"),
    ("sysmon", &[13], "registry_set"),
    ("sysmon", &[14], "registry_rename"),
    ("sysmon", &[15], "create_stream_hash"),
    ("sysmon", &[17, 18], "pipe_created"),
    ("sysmon", &[19, 20, 21], "wmi_event"),
    ("sysmon", &[22], "dns_query"),
    ("sysmon", &[23], "file_delete"),
    ("sysmon", &[24], "clipboard_capture"),
    ("sysmon", &[25], "process_tampering"),
    ("sysmon", &[26], "file_delete_detected"),
    ("sysmon", &[27], "file_block_executable"),
    ("sysmon", &[28], "file_block_shredding"),
    ("sysmon", &[29], "file_executable_detected"),
    ("sysmon", &[255], "sysmon_error"),
    ("powershell", &[4103], "ps_module"),
    ("powershell", &[4104], "ps_script"),
    ("powershell-classic", &[400], "ps_classic_start"),
    ("powershell-classic", &[600], "ps_classic_provider_start"),
    ("powershell-classic", &[800], "ps_classic_script"),
];

/// Windows' own audit of what Sysmon tells. 4688 is `process_creation` by pySigma's pipeline `windows-audit`, too, and by
/// the older `generic/windows-audit` of SigmaHQ; the other two are Noroshi's alone (`docs/sigma.md`).
const BESIDE: &[(&str, &[i64], &str)] = &[
    ("security", &[4688], "process_creation"),
    ("security", &[4689], "process_termination"),
    ("security", &[5156], "network_connection"),
];

/// The log sources of an event; those that rules can name by less as well.
pub fn sources(channel: &str, id: i64) -> Vec<Source> {
    let service =
        CHANNELS.iter().find(|(name, _)| name.eq_ignore_ascii_case(channel)).map(|(_, service)| *service);
    let categories =
        TAXONOMY.iter().chain(BESIDE).filter(|(of, ids, _)| service == Some(of) && ids.contains(&id));
    let categories = categories.map(|(_, _, category)| (Some(*category), None));
    categories.chain(service.map(|service| (None, Some(service)))).chain([(None, None)]).collect()
}
