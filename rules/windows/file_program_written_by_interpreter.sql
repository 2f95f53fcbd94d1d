/*---
id: af836f5e-46c7-40a2-87fc-828ff46e503e
title: Program file written by an interpreter or an Office program
description: >-
  PowerShell, a script host or an Office program wrote an executable file or a script into a user's folder or
  a folder for temporary files.
status: test
level: medium
tags: [attack.command-and-control, attack.t1105, attack.execution, attack.t1204]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - Installation scripts.
entity: [Computer, TargetFilename]
tests:
  - name: 'a program in a profile, a policy test, a document'
    given:
      - {activity: 'create', Computer: 'ws1', Image: 'C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe', TargetFilename: 'C:\Users\a\AppData\Roaming\tool.exe'}
      - {activity: 'create', Computer: 'ws2', Image: 'C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe', TargetFilename: 'C:\Users\a\AppData\Local\Temp\__PSScriptPolicyTest_qb2jvpzw.rfn.ps1'}
      - {activity: 'create', Computer: 'ws3', Image: 'C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe', TargetFilename: 'C:\Users\a\Documents\list.csv'}
    expect:
      - {Computer: 'ws1'}
---*/
SELECT Computer, User, Image, ProcessId, TargetFilename, CreationUtcTime, Hashes
FROM   file_activity
WHERE  activity = 'create'
  AND  (Image ILIKE '%\\powershell.exe' OR Image ILIKE '%\\wscript.exe' OR Image ILIKE '%\\cscript.exe' OR Image ILIKE '%\\mshta.exe'
     OR Image ILIKE '%\\winword.exe' OR Image ILIKE '%\\excel.exe' OR Image ILIKE '%\\outlook.exe')
  AND  TargetFilename ~* '\.(exe|dll|scr|cpl|hta|js|vbs|bat|ps1)$'
  AND  (TargetFilename ILIKE '%\\Users\\%' OR TargetFilename ILIKE '%\\ProgramData\\%' OR TargetFilename ILIKE '%\\Temp\\%')
  AND  TargetFilename NOT ILIKE '%\\\_\_PSScriptPolicyTest\_%'
