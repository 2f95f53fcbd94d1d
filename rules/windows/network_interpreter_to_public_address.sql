/*---
id: 7863e98d-1823-4fbc-a6b5-360dd8513d35
title: Script interpreter connected to a public address
description: >-
  PowerShell, a script host or a loader of Windows opened a connection to an address outside the private
  ranges: how scripts fetch their next stage and report back.
status: test
level: high
tags: [attack.command-and-control, attack.t1071.001, attack.t1105]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - Scripts that talk to a cloud service; exclude its addresses.
entity: [Computer, DestinationIp]
tests:
  - name: 'public, private, inbound, browser'
    given:
      - {Initiated: true, Computer: 'ws1', Image: 'C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe', DestinationIp: '203.0.113.5', DestinationPort: 443}
      - {Initiated: true, Computer: 'ws2', Image: 'C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe', DestinationIp: '10.1.2.3', DestinationPort: 443}
      - {Initiated: true, Computer: 'ws2', Image: 'C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe', DestinationIp: 'fe80::1', DestinationPort: 443}
      - {Initiated: false, Computer: 'ws3', Image: 'C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe', DestinationIp: '203.0.113.5', DestinationPort: 443}
      - {Initiated: true, Computer: 'ws4', Image: 'C:\Program Files\Browser\browser.exe', DestinationIp: '203.0.113.5', DestinationPort: 443}
    expect:
      - {Computer: 'ws1', DestinationIp: '203.0.113.5'}
---*/
SELECT Computer, User, Image, ProcessId, SourceIp, DestinationIp, DestinationHostname, DestinationPort, Protocol
FROM   network_activity
WHERE  Initiated
  AND  (Image ILIKE '%\\powershell.exe' OR Image ILIKE '%\\pwsh.exe' OR Image ILIKE '%\\wscript.exe' OR Image ILIKE '%\\cscript.exe'
     OR Image ILIKE '%\\mshta.exe' OR Image ILIKE '%\\regsvr32.exe' OR Image ILIKE '%\\rundll32.exe' OR Image ILIKE '%\\certutil.exe')
  AND  NOT (cidr_match(DestinationIp, '10.0.0.0/8') OR cidr_match(DestinationIp, '172.16.0.0/12') OR cidr_match(DestinationIp, '192.168.0.0/16')
         OR cidr_match(DestinationIp, '127.0.0.0/8') OR cidr_match(DestinationIp, '169.254.0.0/16') OR cidr_match(DestinationIp, '224.0.0.0/4')
         OR cidr_match(DestinationIp, '::1/128') OR cidr_match(DestinationIp, 'fc00::/7') OR cidr_match(DestinationIp, 'fe80::/10')
         OR cidr_match(DestinationIp, 'ff00::/8'))
