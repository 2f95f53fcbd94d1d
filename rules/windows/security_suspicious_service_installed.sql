/*---
id: 95ac0544-6350-46e0-8095-32809ce5cb0d
title: Service installed that runs an interpreter or a temporary file
description: >-
  The Security log notes a new service whose command is a shell, a script, or a file in a folder that users
  can write.
status: test
level: high
tags: [attack.persistence, attack.t1543.003, attack.execution, attack.t1569.002]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - Services that wrap a script.
entity: [Computer, ServiceName]
tests:
  - name: a shell and a program
    given:
      - {EventID: 4697, Computer: 'srv1', ServiceName: 'Updater', ServiceFileName: '%COMSPEC% /C start /b powershell -noP'}
      - {EventID: 4697, Computer: 'srv2', ServiceName: 'Agent', ServiceFileName: 'C:\Program Files\Agent\agent.exe'}
    expect:
      - {Computer: 'srv1', ServiceName: 'Updater'}
---*/
SELECT Computer, SubjectUserName, SubjectDomainName, ServiceName, ServiceFileName, ServiceAccount
FROM   windows_security
WHERE  EventID = 4697
  AND  (ServiceFileName ILIKE '%powershell%' OR ServiceFileName ILIKE '%comspec%' OR ServiceFileName ILIKE '%cmd.exe%'
     OR ServiceFileName ILIKE '%\\Temp\\%' OR ServiceFileName ILIKE '%\\Users\\%' OR ServiceFileName ILIKE '%psexesvc%')
