/*---
id: 289e0fde-e096-4606-9348-6ed28d88d595
title: Directory database read from a shadow copy
description: >-
  ntds.dit, the database with the password hashes of the domain, was opened through a shadow copy, or by
  another program than LSASS.
status: test
level: critical
tags: [attack.credential-access, attack.t1003.003]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - Backup of domain controllers.
entity: [Computer, ProcessName]
tests:
  - name: 'from a copy, and in place by LSASS'
    given:
      - {EventID: 4663, Computer: 'dc1', ObjectName: '\Device\HarddiskVolumeShadowCopy2\Windows\NTDS\ntds.dit', AccessMask: '0x1', ProcessName: 'C:\Windows\System32\cmd.exe'}
      - {EventID: 4656, Computer: 'dc2', ObjectName: 'C:\Windows\NTDS\ntds.dit', AccessMask: '0x100080', ProcessName: 'C:\Windows\System32\lsass.exe'}
    expect:
      - {Computer: 'dc1'}
---*/
SELECT Computer, SubjectUserName, SubjectDomainName, ProcessName, ProcessId, ObjectName, AccessMask
FROM   windows_security
WHERE  EventID IN (4656, 4663) AND ObjectName ILIKE '%\\ntds.dit'
  AND  (ObjectName ILIKE '%HarddiskVolumeShadowCopy%' OR ProcessName NOT ILIKE '%\\lsass.exe')
