/*---
id: 285e19bf-1671-494b-b0ae-46b33bf2ed23
title: Logon script registered for a user by command
description: >-
  A command sets UserInitMprLogonScript: the program named there starts at each logon of the user.
status: test
level: high
tags: [attack.persistence, attack.t1037.001]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - Administrators who set logon scripts by hand.
entity: [Computer, User]
tests:
  - name: set and removed
    given:
      - {Computer: 'ws1', CommandLine: 'REG.exe ADD HKCU\Environment /v UserInitMprLogonScript /t REG_SZ /d C:\Temp\a.bat /f'}
      - {Computer: 'ws2', CommandLine: 'reg delete HKCU\Environment /v UserInitMprLogonScript /f'}
    expect:
      - {Computer: 'ws1'}
---*/
SELECT Computer, User, Image, CommandLine, ProcessId, ParentImage, ParentCommandLine
FROM   process_activity
WHERE  CommandLine ILIKE '%UserInitMprLogonScript%' AND CommandLine NOT ILIKE '%delete%'
