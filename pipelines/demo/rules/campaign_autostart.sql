/*---
id: a1d2b1a0-b732-47a7-abee-b676ad7fbff0
title: Autostart entry of the SyncAgent campaign
description: >-
  The Run key entry by which the campaign's program starts again at each logon.
status: test
level: critical
tags: [attack.persistence, attack.t1547.001]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - None known.
entity: [Computer]
tests:
  - name: the entry and another
    given:
      - {EventID: 13, Computer: 'MIN-WS-014.ministry.example', TargetObject: 'HKU\S-1-5-21-1-2-3-1104\Software\Microsoft\Windows\CurrentVersion\Run\SyncAgent', Details: 'C:\Users\k.tanaka\AppData\Roaming\svchosts.exe'}
      - {EventID: 13, Computer: 'ws2', TargetObject: 'HKU\S-1-5-21-1-2-3-1104\Software\Microsoft\Windows\CurrentVersion\Run\Mail', Details: 'C:\Program Files\Mail\mail.exe'}
    expect:
      - {Computer: 'MIN-WS-014.ministry.example'}
---*/
SELECT Computer, User, Image, TargetObject, Details
FROM   registry_activity
WHERE  EventID = 13 AND TargetObject ILIKE '%\\CurrentVersion\\Run\\SyncAgent'
