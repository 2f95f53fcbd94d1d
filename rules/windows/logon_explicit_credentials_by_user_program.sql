/*---
id: 30fce93d-b90a-411d-bc5e-13722f402c0a
title: 'Other credentials used by a program in a user''s folder'
description: >-
  A program outside the Windows and program folders logged on with a name and password that were handed to it:
  movement to another host with stolen credentials.
status: test
level: high
tags: [attack.lateral-movement, attack.t1021, attack.defense-evasion, attack.t1078]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - Portable administration tools.
entity: [Computer, user]
tests:
  - name: an implant and the consent dialogue
    given:
      - {EventID: 4648, Computer: 'ws1', user: 'CORP\sato', TargetServerName: 'ws6', ProcessName: 'C:\Users\a\Desktop\a.exe'}
      - {EventID: 4648, Computer: 'ws2', user: 'CORP\sato', TargetServerName: 'localhost', ProcessName: 'C:\Windows\System32\consent.exe'}
    expect:
      - {Computer: 'ws1'}
---*/
SELECT Computer, user, SubjectUserName, SubjectDomainName, TargetServerName, TargetInfo, ProcessName, ProcessId, src_ip
FROM   authentication
WHERE  EventID = 4648
  AND  (ProcessName ILIKE '%\\Users\\%' OR ProcessName ILIKE '%\\ProgramData\\%' OR ProcessName ILIKE '%\\Temp\\%')
