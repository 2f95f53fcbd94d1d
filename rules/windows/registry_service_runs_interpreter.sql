/*---
id: 3be7b0e4-1c08-477b-a54d-f0183b7ede72
title: Service registered that runs an interpreter or a temporary file
description: >-
  The command of a service was set to a shell, a script host, or a file in a folder for temporary files.
status: test
level: high
tags: [attack.persistence, attack.t1543.003]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - Services that wrap a script.
entity: [Computer, TargetObject]
tests:
  - name: a shell and a driver
    given:
      - {EventID: 13, Computer: 'srv1', TargetObject: 'HKLM\System\CurrentControlSet\Services\Updater\ImagePath', Details: '%COMSPEC% /C start /b powershell -noP -enc SQBmACgA'}
      - {EventID: 13, Computer: 'srv2', TargetObject: 'HKLM\System\CurrentControlSet\Services\Fax\ImagePath', Details: 'C:\Windows\system32\fxssvc.exe'}
    expect:
      - {Computer: 'srv1'}
---*/
SELECT Computer, User, Image, ProcessId, EventType, TargetObject, Details
FROM   registry_activity
WHERE  EventID = 13 AND TargetObject ILIKE '%\\Services\\%\\ImagePath'
  AND  (Details ILIKE '%powershell%' OR Details ILIKE '%comspec%' OR Details ILIKE '%cmd.exe%' OR Details ILIKE '%mshta%'
     OR Details ILIKE '%rundll32%' OR Details ILIKE '%\\Temp\\%' OR Details ILIKE '%\\Users\\%' OR Details ILIKE '%\\ADMIN$\\%')
