/*---
id: 9cf8a454-9883-48d6-b0ba-3cadc47af6b4
title: Named pipe with the default name of an attack tool
description: >-
  Tools for remote control talk over named pipes; few operators change the names that the tools come with.
status: test
level: critical
tags: [attack.command-and-control, attack.t1071, attack.lateral-movement, attack.t1021.002]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - Administrators who work with PsExec.
entity: [Computer, Image]
tests:
  - name: a tool and the server service
    given:
      - {activity: 'create_pipe', Computer: 'ws1', PipeName: '\postex_ssh_fedac123', Image: 'C:\TMP\a.exe'}
      - {activity: 'connect_pipe', Computer: 'ws2', PipeName: '\srvsvc', Image: 'C:\Windows\explorer.exe'}
      - {activity: 'create_pipe', Computer: 'ws3', PipeName: '\statusboard', Image: 'C:\Program Files\b.exe'}
    expect:
      - {Computer: 'ws1', PipeName: '\postex_ssh_fedac123'}
---*/
SELECT Computer, User, Image, PipeName, activity, SourceProcessId
FROM   process_access
WHERE  PipeName ILIKE '\\postex\_%' OR PipeName ILIKE '\\msagent\_%' OR PipeName ILIKE '\\MSSE-%' OR PipeName ILIKE '\\status\_%'
   OR  PipeName ILIKE '\\gruntsvc%' OR PipeName ILIKE '\\psexesvc%' OR PipeName ILIKE '\\paexec%' OR PipeName ILIKE '\\remcom%'
   OR  PipeName ILIKE '\\csexec%' OR PipeName ILIKE '\\meterpreter%'
