/*---
id: 38318f12-b256-4374-bb40-8cd9448f0ac1
title: Office program started a command interpreter
description: >-
  Word, Excel, PowerPoint, Outlook or another Office program started a shell or a script host. Documents do
  not need one; macros and exploits of documents do.
status: test
level: high
tags: [attack.execution, attack.t1204.002, attack.t1059]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - Add-ins that call a batch file.
entity: [Computer, User]
tests:
  - name: 'Word starts PowerShell, Word starts a printer dialogue'
    given:
      - {Computer: 'ws1', ParentImage: 'C:\Program Files\Microsoft Office\root\Office16\WINWORD.EXE', Image: 'C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe', CommandLine: 'powershell.exe -nop'}
      - {Computer: 'ws2', ParentImage: 'C:\Program Files\Microsoft Office\root\Office16\WINWORD.EXE', Image: 'C:\Windows\splwow64.exe', CommandLine: 'splwow64.exe 12288'}
    expect:
      - {Computer: 'ws1', Image: 'C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe'}
---*/
SELECT Computer, User, Image, CommandLine, ProcessId, ParentImage, ParentCommandLine
FROM   process_activity
WHERE  (ParentImage ILIKE '%\\winword.exe' OR ParentImage ILIKE '%\\excel.exe' OR ParentImage ILIKE '%\\powerpnt.exe'
     OR ParentImage ILIKE '%\\outlook.exe' OR ParentImage ILIKE '%\\onenote.exe' OR ParentImage ILIKE '%\\mspub.exe'
     OR ParentImage ILIKE '%\\msaccess.exe' OR ParentImage ILIKE '%\\eqnedt32.exe')
  AND  (Image ILIKE '%\\powershell.exe' OR Image ILIKE '%\\pwsh.exe' OR Image ILIKE '%\\cmd.exe'
     OR Image ILIKE '%\\wscript.exe' OR Image ILIKE '%\\cscript.exe' OR Image ILIKE '%\\mshta.exe'
     OR Image ILIKE '%\\rundll32.exe' OR Image ILIKE '%\\regsvr32.exe' OR Image ILIKE '%\\certutil.exe')
