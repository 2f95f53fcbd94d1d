/*---
id: 83638490-8d62-40bc-b024-107bd86a492f
title: Shadow copies deleted by command
description: >-
  A command deletes or shrinks away the volume shadow copies, or switches off recovery. Ransomware does this
  just before it encrypts.
status: test
level: critical
tags: [attack.impact, attack.t1490]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - Backup software that rotates its own copies.
entity: [Computer, User]
tests:
  - name: deletion and listing
    given:
      - {Computer: 'ws1', Image: 'C:\Windows\System32\vssadmin.exe', CommandLine: 'vssadmin.exe delete shadows /all /quiet'}
      - {Computer: 'ws2', Image: 'C:\Windows\System32\vssadmin.exe', CommandLine: 'vssadmin list shadows'}
    expect:
      - {Computer: 'ws1'}
---*/
SELECT Computer, User, Image, CommandLine, ProcessId, ParentImage, ParentCommandLine
FROM   process_activity
WHERE  (CommandLine ILIKE '%vssadmin%' AND CommandLine ILIKE '%delete%' AND CommandLine ILIKE '%shadows%')
   OR  (CommandLine ILIKE '%vssadmin%' AND CommandLine ILIKE '%resize%' AND CommandLine ILIKE '%shadowstorage%')
   OR  (CommandLine ILIKE '%wmic%' AND CommandLine ILIKE '%shadowcopy%' AND CommandLine ILIKE '%delete%')
   OR  (CommandLine ILIKE '%bcdedit%' AND CommandLine ILIKE '%recoveryenabled%no%')
   OR  (CommandLine ILIKE '%wbadmin%' AND CommandLine ILIKE '%delete%' AND CommandLine ILIKE '%catalog%')
