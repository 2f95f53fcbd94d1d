/*---
id: da368b74-9097-4def-aaaa-cdf7529b04c6
title: Account and rights looked up by command
description: >-
  whoami asks which account this is and what it may do. Alone it means little; right after a foothold it is
  nearly always there.
status: test
level: low
tags: [attack.discovery, attack.t1033]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - 'Logon scripts, administrators.'
entity: [Computer, User]
tests:
  - name: 'whoami, and another tool'
    given:
      - {activity: 'launch', Computer: 'ws1', Image: 'C:\Windows\System32\whoami.exe', CommandLine: 'whoami /all'}
      - {activity: 'launch', Computer: 'ws2', Image: 'C:\Windows\System32\cmd.exe', CommandLine: 'cmd.exe /c whoami /priv'}
      - {activity: 'launch', Computer: 'ws3', Image: 'C:\Windows\System32\hostname.exe', CommandLine: 'hostname'}
    expect:
      - {Computer: 'ws1'}
      - {Computer: 'ws2'}
---*/
SELECT Computer, User, Image, CommandLine, ProcessId, ParentImage, ParentCommandLine
FROM   process_activity
WHERE  activity = 'launch' AND (Image ILIKE '%\\whoami.exe' OR CommandLine ~* '\bwhoami(\.exe)?\s+/(all|priv|groups)')
