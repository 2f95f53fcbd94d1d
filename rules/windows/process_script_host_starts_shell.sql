/*---
id: 453cdc64-e048-4b5b-b1b2-e29dd9bb11ed
title: Script host started a command shell
description: >-
  cscript or wscript started cmd.exe or PowerShell. Scripts of attachments and downloads do this; a few
  scripts of Windows itself do it too.
status: test
level: low
tags: [attack.execution, attack.t1059.005]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - 'gatherNetworkInfo.vbs of Windows, logon scripts.'
entity: [Computer, User]
tests:
  - name: 'started by a script, started by a user'
    given:
      - {Computer: 'ws1', ParentImage: 'C:\Windows\System32\cscript.exe', Image: 'C:\Windows\System32\cmd.exe', CommandLine: 'cmd.exe /c systeminfo'}
      - {Computer: 'ws2', ParentImage: 'C:\Windows\explorer.exe', Image: 'C:\Windows\System32\cmd.exe', CommandLine: 'cmd.exe'}
    expect:
      - {Computer: 'ws1'}
---*/
SELECT Computer, User, Image, CommandLine, ProcessId, ParentImage, ParentCommandLine
FROM   process_activity
WHERE  (ParentImage ILIKE '%\\cscript.exe' OR ParentImage ILIKE '%\\wscript.exe')
  AND  (Image ILIKE '%\\cmd.exe' OR Image ILIKE '%\\powershell.exe' OR Image ILIKE '%\\pwsh.exe')
