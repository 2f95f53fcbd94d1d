/*---
id: 7cec39cf-4466-44cb-89ce-31820d5c7a3c
title: HTML application started a command interpreter
description: >-
  mshta.exe, which runs HTML applications, started a shell or a script host: a common second step of a
  phishing page or shortcut.
status: test
level: high
tags: [attack.defense-evasion, attack.t1218.005, attack.execution, attack.t1059]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - Old in-house HTML applications.
entity: [Computer, User]
tests:
  - name: 'started by mshta, started by the desktop'
    given:
      - {Computer: 'ws1', ParentImage: 'C:\Windows\System32\mshta.exe', Image: 'C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe'}
      - {Computer: 'ws2', ParentImage: 'C:\Windows\explorer.exe', Image: 'C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe'}
    expect:
      - {Computer: 'ws1'}
---*/
SELECT Computer, User, Image, CommandLine, ProcessId, ParentImage, ParentCommandLine
FROM   process_activity
WHERE  ParentImage ILIKE '%\\mshta.exe'
  AND  (Image ILIKE '%\\powershell.exe' OR Image ILIKE '%\\pwsh.exe' OR Image ILIKE '%\\cmd.exe'
     OR Image ILIKE '%\\wscript.exe' OR Image ILIKE '%\\cscript.exe' OR Image ILIKE '%\\rundll32.exe')
