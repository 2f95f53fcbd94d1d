/*---
id: d0a5933c-710b-45aa-b3d2-6b8cdda6340e
title: Audit policy cleared or disabled by command
description: >-
  auditpol.exe clears the audit policy, or switches auditing off: after that, the Security log no longer shows
  what happens.
status: test
level: high
tags: [attack.defense-evasion, attack.t1562.002]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - Hardening scripts.
entity: [Computer, User]
tests:
  - name: disabling and listing
    given:
      - {Computer: 'ws1', Image: 'C:\Windows\System32\auditpol.exe', CommandLine: 'auditpol.exe /set /category:"DS Access" /success:disable'}
      - {Computer: 'ws2', Image: 'C:\Windows\System32\auditpol.exe', CommandLine: 'auditpol.exe /get /category:*'}
    expect:
      - {Computer: 'ws1'}
---*/
SELECT Computer, User, Image, CommandLine, ProcessId, ParentImage, ParentCommandLine
FROM   process_activity
WHERE  Image ILIKE '%\\auditpol.exe'
  AND  (CommandLine ILIKE '%/clear%' OR CommandLine ILIKE '%/remove%' OR CommandLine ILIKE '%/restore%'
     OR (CommandLine ILIKE '%/set%' AND CommandLine ILIKE '%:disable%'))
