/*---
id: 67c7eb6a-06c3-43c2-9c75-2c4a3ee786e2
title: Credential vault library loaded by a script interpreter
description: >-
  PowerShell or another interpreter loaded vaultcli.dll, through which the passwords that Windows and browsers
  saved can be read.
status: test
level: medium
tags: [attack.credential-access, attack.t1555.004]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - Scripts that use saved credentials.
entity: [Computer, Image]
tests:
  - name: 'PowerShell and the vault''s own service'
    given:
      - {Computer: 'ws1', Image: 'C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe', ImageLoaded: 'C:\Windows\System32\vaultcli.dll'}
      - {Computer: 'ws2', Image: 'C:\Windows\System32\svchost.exe', ImageLoaded: 'C:\Windows\System32\vaultcli.dll'}
    expect:
      - {Computer: 'ws1'}
---*/
SELECT Computer, User, Image, ProcessId, ImageLoaded, Signed, Signature, SignatureStatus, Hashes
FROM   module_activity
WHERE  ImageLoaded ILIKE '%\\vaultcli.dll'
  AND  (Image ILIKE '%\\powershell.exe' OR Image ILIKE '%\\pwsh.exe' OR Image ILIKE '%\\cscript.exe' OR Image ILIKE '%\\wscript.exe'
     OR Image ILIKE 'C:\\Users\\%\\Downloads\\%' OR Image ILIKE 'C:\\Users\\%\\Desktop\\%')
