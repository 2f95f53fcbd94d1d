/*---
id: 1c268af9-afba-4dc9-b988-046553b23d2c
title: Control panel item loaded from a folder that users can write
description: >-
  control.exe or rundll32.exe loads a control panel item (.cpl, a library) from a folder that needs no
  administrator to write: a way to run a library under the name of a Windows program.
status: test
level: high
tags: [attack.defense-evasion, attack.t1218.002]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - None known.
entity: [Computer, User]
tests:
  - name: 'from ProgramData, and one of the system'
    given:
      - {Computer: 'ws1', Image: 'C:\Windows\System32\control.exe', CommandLine: '"C:\Windows\System32\control.exe" C:\ProgramData\a.cpl'}
      - {Computer: 'ws2', Image: 'C:\Windows\System32\control.exe', CommandLine: '"C:\Windows\System32\control.exe" C:\Windows\System32\timedate.cpl'}
    expect:
      - {Computer: 'ws1'}
---*/
SELECT Computer, User, Image, CommandLine, ProcessId, ParentImage, ParentCommandLine
FROM   process_activity
WHERE  (Image ILIKE '%\\control.exe' OR Image ILIKE '%\\rundll32.exe')
  AND  CommandLine ILIKE '%.cpl%'
  AND  (CommandLine ILIKE '%\\ProgramData\\%' OR CommandLine ILIKE '%\\Users\\%' OR CommandLine ILIKE '%\\Temp\\%')
