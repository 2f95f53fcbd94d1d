/*---
id: 89c12207-d8ec-4d7b-9b46-903c456e4f4c
title: Commands run from afar on a historian
description: >-
  The historians stand between office and control network. A service for remote execution started a program on
  one of them.
status: test
level: critical
tags: [attack.lateral-movement, attack.t1021.002, attack.execution, attack.t1569.002]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - None known.
entity: [Computer]
tests:
  - name: 'on a historian, on a workstation'
    given:
      - {activity: 'launch', Computer: 'PWR-HIST-02.power.example', ParentImage: 'C:\Windows\PSEXESVC.exe', Image: 'C:\Windows\System32\cmd.exe', CommandLine: 'cmd.exe /c whoami /all'}
      - {activity: 'launch', Computer: 'PWR-WS-001.power.example', ParentImage: 'C:\Windows\PSEXESVC.exe', Image: 'C:\Windows\System32\cmd.exe', CommandLine: 'cmd.exe /c ver'}
    expect:
      - {Computer: 'PWR-HIST-02.power.example'}
---*/
SELECT Computer, User, Image, CommandLine, ParentImage
FROM   process_activity
WHERE  activity = 'launch' AND Computer ILIKE 'PWR-HIST-%'
  AND  (ParentImage ILIKE '%\\psexesvc.exe' OR ParentImage ILIKE '%\\wmiprvse.exe' OR ParentImage ILIKE '%\\wsmprovhost.exe')
  AND  (Image ILIKE '%\\cmd.exe' OR Image ILIKE '%\\powershell.exe')
