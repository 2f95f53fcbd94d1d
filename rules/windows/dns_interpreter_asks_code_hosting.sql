/*---
id: 9682c28e-9d46-4660-afb8-36771688a812
title: Script interpreter looked up a code hosting or paste site
description: >-
  PowerShell or another interpreter looked up a site where anybody can put a script: the first step of
  fetching one.
status: test
level: medium
tags: [attack.command-and-control, attack.t1105, attack.t1102]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - Developers.
entity: [Computer, QueryName]
tests:
  - name: PowerShell and a browser
    given:
      - {Computer: 'ws1', Image: 'C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe', QueryName: 'raw.githubusercontent.com'}
      - {Computer: 'ws2', Image: 'C:\Program Files\Browser\browser.exe', QueryName: 'raw.githubusercontent.com'}
      - {Computer: 'ws3', Image: 'C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe', QueryName: 'updates.example.com'}
    expect:
      - {Computer: 'ws1'}
---*/
SELECT Computer, User, Image, ProcessId, QueryName, QueryResults
FROM   dns_activity
WHERE  (Image ILIKE '%\\powershell.exe' OR Image ILIKE '%\\pwsh.exe' OR Image ILIKE '%\\wscript.exe' OR Image ILIKE '%\\cscript.exe'
     OR Image ILIKE '%\\mshta.exe' OR Image ILIKE '%\\regsvr32.exe')
  AND  QueryName ~* '(^|\.)(raw\.githubusercontent\.com|gist\.github\.com|gist\.githubusercontent\.com|pastebin\.com|paste\.ee|transfer\.sh|ngrok\.io|discordapp\.com|anonfiles\.com)$'
