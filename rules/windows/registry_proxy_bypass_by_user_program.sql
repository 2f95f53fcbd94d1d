/*---
id: 70e8f936-d726-478b-870b-5986e68523df
title: Internet zone settings touched by a program in a downloads folder
description: >-
  Windows writes these values when a program first uses its HTTP library. The program lies in a folder for
  downloads: it is about to talk to a server.
status: test
level: medium
tags: [attack.command-and-control, attack.t1071.001]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - Installers.
entity: [Computer, Image]
tests:
  - name: a download and the desktop
    given:
      - {EventID: 13, Computer: 'ws1', Image: 'C:\Users\a\Downloads\payload.exe', TargetObject: 'HKU\S-1-5-21-1\Software\Microsoft\Windows\CurrentVersion\Internet Settings\ZoneMap\ProxyBypass', Details: 'DWORD (0x00000001)'}
      - {EventID: 13, Computer: 'ws2', Image: 'C:\Windows\Explorer.EXE', TargetObject: 'HKU\S-1-5-21-1\Software\Microsoft\Windows\CurrentVersion\Internet Settings\ZoneMap\ProxyBypass', Details: 'DWORD (0x00000001)'}
    expect:
      - {Computer: 'ws1'}
---*/
SELECT Computer, User, Image, ProcessId, EventType, TargetObject, Details
FROM   registry_activity
WHERE  EventID = 13 AND TargetObject ILIKE '%\\Internet Settings\\ZoneMap\\%'
  AND  (Image ILIKE '%\\Users\\%\\Downloads\\%' OR Image ILIKE '%\\Users\\%\\Desktop\\%' OR Image ILIKE '%\\Temp\\%' OR Image ILIKE '%\\mshta.exe')
