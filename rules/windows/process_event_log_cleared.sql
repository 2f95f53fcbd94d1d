/*---
id: 9f46fb09-ba66-4e98-ad15-2b3ac441645c
title: Event log cleared by command
description: >-
  wevtutil or PowerShell was told to clear an event log. Intruders do it to remove their traces.
status: test
level: high
tags: [attack.defense-evasion, attack.t1070.001]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - Preparation of a machine image.
entity: [Computer, User]
tests:
  - name: clearing and exporting
    given:
      - {Computer: 'ws1', CommandLine: 'wevtutil.exe cl Security'}
      - {Computer: 'ws2', CommandLine: 'powershell -c "Clear-EventLog -LogName System"'}
      - {Computer: 'ws3', CommandLine: 'wevtutil  epl Application config\app.evtx'}
    expect:
      - {Computer: 'ws1'}
      - {Computer: 'ws2'}
---*/
SELECT Computer, User, Image, CommandLine, ProcessId, ParentImage, ParentCommandLine
FROM   process_activity
WHERE  (CommandLine ~* 'wevtutil(\.exe)?"?\s+(cl|clear-log)\s')
   OR  CommandLine ILIKE '%Clear-EventLog%'
   OR  CommandLine ILIKE '%Remove-EventLog%'
