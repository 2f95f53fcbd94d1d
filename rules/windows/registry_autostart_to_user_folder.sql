/*---
id: 42b9ba02-c5fc-46b6-a229-e7f10ca77952
title: 'Autostart entry for a program in a user''s folder'
description: >-
  A Run key got an entry that starts a program from a user's folder, ProgramData or a folder for temporary
  files, or an interpreter, at each logon.
status: test
level: high
tags: [attack.persistence, attack.t1547.001]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - Software that installs itself for one user.
entity: [Computer, TargetObject]
tests:
  - name: 'a program in Roaming, an installed program, OneDrive'
    given:
      - {EventID: 13, Computer: 'ws1', TargetObject: 'HKU\S-1-5-21-1-2-3-1104\Software\Microsoft\Windows\CurrentVersion\Run\SyncAgent', Details: 'C:\Users\k.tanaka\AppData\Roaming\svchosts.exe'}
      - {EventID: 13, Computer: 'ws2', TargetObject: 'HKLM\Software\Microsoft\Windows\CurrentVersion\Run\Audio', Details: 'C:\Program Files\Audio\tray.exe'}
      - {EventID: 13, Computer: 'ws3', TargetObject: 'HKU\S-1-5-21-1-2-3-1104\Software\Microsoft\Windows\CurrentVersion\Run\OneDrive', Details: '"C:\Users\a\AppData\Local\Microsoft\OneDrive\OneDrive.exe" /background'}
    expect:
      - {Computer: 'ws1'}
---*/
SELECT Computer, User, Image, ProcessId, EventType, TargetObject, Details
FROM   registry_activity
WHERE  EventID = 13
  AND  (TargetObject ILIKE '%\\Microsoft\\Windows\\CurrentVersion\\Run\\%' OR TargetObject ILIKE '%\\Microsoft\\Windows\\CurrentVersion\\RunOnce\\%')
  AND  (Details ILIKE '%\\AppData\\%' OR Details ILIKE '%\\ProgramData\\%' OR Details ILIKE '%\\Temp\\%' OR Details ILIKE '%\\Users\\Public\\%'
     OR Details ILIKE '%powershell%' OR Details ILIKE '%mshta%' OR Details ILIKE '%wscript%' OR Details ILIKE '%rundll32%')
  AND  Details NOT ILIKE '%\\AppData\\Local\\Microsoft\\OneDrive\\%' AND Details NOT ILIKE '%\\AppData\\Local\\Microsoft\\Teams\\%'
