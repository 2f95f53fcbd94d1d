/*---
id: 09287b29-99a9-464b-9688-9c7ebb4f9576
title: Program started by the PsExec service
description: >-
  The service that PsExec leaves on a remote host started a program: somebody with administrator rights runs
  commands on this host from elsewhere.
status: test
level: high
tags: [attack.execution, attack.t1569.002, attack.lateral-movement, attack.t1021.002]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - Administrators who work with PsExec.
entity: [Computer]
tests:
  - name: 'child of the service, child of the service manager'
    given:
      - {Computer: 'srv1', ParentImage: 'C:\Windows\PSEXESVC.exe', Image: 'C:\Windows\System32\cmd.exe', CommandLine: 'cmd.exe /c whoami /all'}
      - {Computer: 'srv2', ParentImage: 'C:\Windows\System32\services.exe', Image: 'C:\Windows\PSEXESVC.exe', CommandLine: 'C:\Windows\PSEXESVC.exe'}
    expect:
      - {Computer: 'srv1', CommandLine: 'cmd.exe /c whoami /all'}
---*/
SELECT Computer, User, Image, CommandLine, ProcessId, ParentImage, ParentCommandLine
FROM   process_activity
WHERE  ParentImage ILIKE '%\\psexesvc.exe' OR ParentImage ILIKE '%\\paexec%.exe' OR ParentImage ILIKE '%\\remcomsvc.exe'
