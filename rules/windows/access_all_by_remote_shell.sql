/*---
id: f02a822b-2f05-4c9a-ade6-ff948e6022b9
title: Remote PowerShell session opened a process with full access
description: >-
  wsmprovhost.exe runs the commands of a remote PowerShell session. Here it opened another process with all
  rights, which administration hardly ever needs.
status: test
level: high
tags: [attack.lateral-movement, attack.t1021.006, attack.defense-evasion, attack.t1055]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - None known.
entity: [Computer]
tests:
  - name: 'all rights, and a query'
    given:
      - {activity: 'access', Computer: 'srv1', SourceImage: 'C:\Windows\system32\wsmprovhost.exe', TargetImage: 'C:\Windows\system32\svchost.exe', GrantedAccess: '0x1f3fff'}
      - {activity: 'access', Computer: 'srv2', SourceImage: 'C:\Windows\system32\wsmprovhost.exe', TargetImage: 'C:\Windows\system32\svchost.exe', GrantedAccess: '0x1000'}
    expect:
      - {Computer: 'srv1'}
---*/
SELECT Computer, SourceUser, SourceImage, SourceProcessId, TargetImage, TargetProcessId, GrantedAccess, CallTrace
FROM   process_access
WHERE  activity = 'access' AND SourceImage ILIKE '%\\wsmprovhost.exe'
  AND  GrantedAccess IN ('0x1f0fff', '0x1f1fff', '0x1f2fff', '0x1f3fff', '0x1fffff')
