/*---
id: 31981166-1f98-4a1e-b40e-73406a435ea3
title: PowerShell engine inside another program
description: >-
  Each PowerShell engine opens a pipe that names its process. This one is not powershell.exe: a program runs
  PowerShell without the interpreter, past the rules that watch it.
status: test
level: high
tags: [attack.execution, attack.t1059.001]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - Management tools with a built-in PowerShell.
entity: [Computer, Image]
tests:
  - name: an implant and the interpreter
    given:
      - {activity: 'create_pipe', Computer: 'ws1', PipeName: '\PSHost.132411592107536526.7240.DefaultAppDomain.a', Image: 'C:\Users\a\Desktop\a.exe'}
      - {activity: 'create_pipe', Computer: 'ws2', PipeName: '\PSHost.132411592107536526.7240.DefaultAppDomain.powershell', Image: 'C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe'}
    expect:
      - {Computer: 'ws1'}
---*/
SELECT Computer, User, Image, PipeName, SourceProcessId
FROM   process_access
WHERE  activity = 'create_pipe' AND PipeName ILIKE '\\PSHost.%'
  AND  Image NOT ILIKE '%\\powershell.exe' AND Image NOT ILIKE '%\\powershell\_ise.exe' AND Image NOT ILIKE '%\\pwsh.exe'
  AND  Image NOT ILIKE '%\\wsmprovhost.exe' AND Image NOT ILIKE '%\\sdiagnhost.exe' AND Image NOT ILIKE '%\\wmiprvse.exe'
