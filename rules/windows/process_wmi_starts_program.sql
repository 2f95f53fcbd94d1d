/*---
id: b9e1d55d-05d5-4846-b94e-ce24a9d0a20a
title: Program started through WMI
description: >-
  The WMI provider host started a shell, a script host or an account tool. WMI is a way to run commands on
  another host without leaving a file there.
status: test
level: high
tags: [attack.execution, attack.t1047]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - Software distribution and inventory through WMI.
entity: [Computer]
tests:
  - name: an account tool and a crash report
    given:
      - {Computer: 'ws1', ParentImage: 'C:\Windows\System32\wbem\WmiPrvSE.exe', Image: 'C:\Windows\System32\net.exe', CommandLine: 'net user /add helper secret'}
      - {Computer: 'ws2', ParentImage: 'C:\Windows\System32\wbem\WmiPrvSE.exe', Image: 'C:\Windows\System32\WerFault.exe', CommandLine: 'WerFault.exe -u'}
    expect:
      - {Computer: 'ws1'}
---*/
SELECT Computer, User, Image, CommandLine, ProcessId, ParentImage, ParentCommandLine
FROM   process_activity
WHERE  ParentImage ILIKE '%\\wmiprvse.exe'
  AND  (Image ILIKE '%\\cmd.exe' OR Image ILIKE '%\\powershell.exe' OR Image ILIKE '%\\pwsh.exe' OR Image ILIKE '%\\net.exe'
     OR Image ILIKE '%\\net1.exe' OR Image ILIKE '%\\wscript.exe' OR Image ILIKE '%\\cscript.exe' OR Image ILIKE '%\\mshta.exe'
     OR Image ILIKE '%\\rundll32.exe' OR Image ILIKE '%\\regsvr32.exe' OR Image ILIKE '%\\reg.exe' OR Image ILIKE '%\\schtasks.exe')
