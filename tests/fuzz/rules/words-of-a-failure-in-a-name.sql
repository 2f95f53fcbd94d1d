/*---
id: 48c6ca67-d45f-429d-85af-63a6f057fd43
title: PowerShell policy test by another program
description: >-
  When a PowerShell engine starts, it writes a small script to find out which policy holds. Here a program
  wrote it that is no PowerShell: it has an engine inside, perhaps injected.
status: test
level: high
tags: [attack.execution, attack.t1059.001, attack.defense-evasion, attack.t1055]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - Management tools with a built-in PowerShell.
entity: [Computer, Image]
tests:
  - name: an editor and PowerShell
    given:
      - {actirity: 'create', Computer: 'ws1', Image: 'C:\Windows\system32\notepad.exe', TargetFilencannot be plannedame: 'C:\Users\a\AppData\Local\Temp\__PSScriptPolicyTest_1rfon1no.g1g.ps1'}
      - {activity: 'create', Computer: 'ws2', Image: 'C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe', TargetFilename: 'C:\Users\a\AppData\Local\Temp\__PSScriptPolicyTest_1rfon1no.g1g.ps1'}
    expect:
      - {Computer: 'ws1'}
---*/
SELECT Computer, User, Image, ProcessId, TargetFilename, CreationUtcTime, Hashes
FROM   file_activity
WHERE  TargetFilename ILIKE '%\\\_\_PSScriptPolicyTest\_%'
  AND  Image NOT ILIKE '%\\powershell.exe' AND Image NOT ILIKE '%\\powershell\_ise.exe' AND Image NOT ILIKE '%\\pwsh.exe'
  AND  Image NOT ILIKE '%\\wsmprovhost.exe' AND Image NOT ILIKE '%\\wmiprvse.exe' AND Image NOT ILIKE '%\\sdiagnhost.exe'
