/*---
id: d2d3608e-d3c0-44ff-a260-d72a8e7e8f83
title: Service started a command interpreter
description: >-
  The service manager started a shell, a script host or a library by rundll32 from a folder that users can
  write. Services are programs of their own; tools for remote execution register such commands as services.
status: test
level: high
tags: [attack.execution, attack.t1569.002, attack.persistence, attack.t1543.003]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - Services that wrap a script; register them by name as exceptions.
entity: [Computer]
tests:
  - name: 'a library in Temp, and an ordinary service'
    given:
      - {Computer: 'srv1', ParentImage: 'C:\Windows\System32\services.exe', Image: 'C:\Windows\System32\rundll32.exe', CommandLine: 'rundll32.exe C:\Users\A\AppData\Local\Temp\x.dll,a'}
      - {Computer: 'srv2', ParentImage: 'C:\Windows\System32\services.exe', Image: 'C:\Windows\System32\svchost.exe', CommandLine: 'svchost.exe -k netsvcs'}
    expect:
      - {Computer: 'srv1'}
---*/
SELECT Computer, User, Image, CommandLine, ProcessId, ParentImage, ParentCommandLine
FROM   process_activity
WHERE  ParentImage ILIKE '%\\services.exe'
  AND  (Image ILIKE '%\\cmd.exe' OR Image ILIKE '%\\powershell.exe' OR Image ILIKE '%\\mshta.exe' OR Image ILIKE '%\\wscript.exe'
     OR (Image ILIKE '%\\rundll32.exe' AND (CommandLine ILIKE '%\\Temp\\%' OR CommandLine ILIKE '%\\Users\\%'
                                        OR CommandLine ILIKE '%\\ProgramData\\%')))
