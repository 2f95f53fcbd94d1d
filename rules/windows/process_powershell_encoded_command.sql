/*---
id: 8a8475b2-0d14-45b9-93da-f0aeb4829851
title: PowerShell started with an encoded command
description: >-
  A command line hands PowerShell a base64 script (-EncodedCommand or one of its short forms). Administrators
  rarely type that; loaders and remote shells do it to get a script past quoting and past the eye.
status: test
level: high
tags: [attack.execution, attack.t1059.001, attack.defense-evasion, attack.t1027.010]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - Management software that wraps its scripts in base64; exclude it by its parent process.
entity: [Computer, User]
tests:
  - name: 'long and short form, but no ordinary script file'
    given:
      - {Computer: 'ws1', Image: 'C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe', CommandLine: 'powershell.exe -NoProfile -WindowStyle Hidden -EncodedCommand SQBFAFgAIAAoAE4AZQB3AC0A'}
      - {Computer: 'ws2', Image: 'C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe', CommandLine: 'C:\Windows\System32\WindowsPowershell\v1.0\powershell -noP -sta -w 1 -enc  SQBGACgAJABQAFMA'}
      - {Computer: 'ws3', Image: 'C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe', CommandLine: 'powershell.exe -ExecutionPolicy Bypass -File C:\scripts\inventory.ps1'}
    expect:
      - {Computer: 'ws1'}
      - {Computer: 'ws2'}
---*/
SELECT Computer, User, Image, CommandLine, ProcessId, ParentImage, ParentCommandLine
FROM   process_activity
WHERE  CommandLine ILIKE '%powershell%'
  AND  CommandLine ~* '\s[-/]e(c|n[a-z]*)?\s+["'']?[a-z0-9+/=]{8,}'
