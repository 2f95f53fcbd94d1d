/*---
id: 84ce539c-3e96-4693-9152-3f3a77fcf27c
title: Service of a remote execution tool installed
description: >-
  A service was installed that PsExec or a tool of its kind leaves, or whose command is a shell, a script or a
  file in a folder for temporary files.
status: test
level: high
tags: [attack.execution, attack.t1569.002, attack.persistence, attack.t1543.003]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - Administrators who work with PsExec.
entity: [Computer, ServiceName]
tests:
  - name: PsExec and a driver
    given:
      - {EventID: 7045, Computer: 'srv1', ServiceName: 'PSEXESVC', ImagePath: '%SystemRoot%\PSEXESVC.exe', AccountName: 'LocalSystem'}
      - {EventID: 7045, Computer: 'srv2', ServiceName: 'Printer driver', ImagePath: 'C:\Windows\System32\drivers\prn.sys'}
    expect:
      - {Computer: 'srv1', ServiceName: 'PSEXESVC'}
---*/
SELECT Computer, ServiceName, ImagePath, ServiceType, StartType, AccountName
FROM   windows_event
WHERE  EventID = 7045
  AND  (ServiceName ILIKE '%PSEXESVC%' OR ImagePath ILIKE '%psexesvc%' OR ImagePath ILIKE '%paexec%' OR ImagePath ILIKE '%remcom%'
     OR ImagePath ILIKE '%powershell%' OR ImagePath ILIKE '%comspec%' OR ImagePath ILIKE '%cmd.exe%' OR ImagePath ILIKE '%mshta%'
     OR ImagePath ILIKE '%\\Temp\\%' OR ImagePath ILIKE '%\\Users\\%' OR ImagePath ILIKE '%\\ADMIN$\\%')
