/*---
id: fb2c9195-3157-496e-b90a-a987cc2be2fe
title: Script interpreter opened LSASS
description: >-
  PowerShell or another script interpreter opened the process that holds the credentials, with whatever right.
  Handles may be duplicated later to read from it.
status: test
level: medium
tags: [attack.credential-access, attack.t1003.001]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - Scripts that list all processes.
entity: [Computer, SourceImage]
tests:
  - name: PowerShell and a service
    given:
      - {activity: 'access', Computer: 'ws1', SourceImage: 'C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe', TargetImage: 'C:\Windows\system32\lsass.exe', GrantedAccess: '0x40'}
      - {activity: 'access', Computer: 'ws2', SourceImage: 'C:\Windows\System32\svchost.exe', TargetImage: 'C:\Windows\system32\lsass.exe', GrantedAccess: '0x40'}
    expect:
      - {Computer: 'ws1'}
---*/
SELECT Computer, SourceUser, SourceImage, SourceProcessId, TargetImage, TargetProcessId, GrantedAccess, CallTrace
FROM   process_access
WHERE  activity = 'access' AND TargetImage ILIKE '%\\lsass.exe'
  AND  (SourceImage ILIKE '%\\powershell.exe' OR SourceImage ILIKE '%\\pwsh.exe' OR SourceImage ILIKE '%\\wscript.exe'
     OR SourceImage ILIKE '%\\cscript.exe' OR SourceImage ILIKE '%\\mshta.exe' OR SourceImage ILIKE '%\\wsmprovhost.exe')
