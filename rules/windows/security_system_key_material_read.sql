/*---
id: a3e45430-af95-4491-b84a-08c9ffcae994
title: Parts of the system key read from the registry
description: >-
  The key that protects the local password database is put together from the classes of four registry keys.
  Only tools that want to decrypt that database open them.
status: test
level: high
tags: [attack.credential-access, attack.t1003.002]
author: Noroshi project
date: "2026-11-23"
falsepositives:
  - None known.
entity: [Computer, ProcessName]
tests:
  - name: PowerShell and LSASS
    given:
      - {EventID: 4656, Computer: 'ws1', ObjectType: 'Key', ObjectName: '\REGISTRY\MACHINE\SYSTEM\ControlSet001\Control\Lsa\JD', ProcessName: 'C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe'}
      - {EventID: 4656, Computer: 'ws2', ObjectType: 'Key', ObjectName: '\REGISTRY\MACHINE\SYSTEM\ControlSet001\Control\Lsa\JD', ProcessName: 'C:\Windows\System32\lsass.exe'}
    expect:
      - {Computer: 'ws1'}
---*/
SELECT Computer, SubjectUserName, SubjectDomainName, ProcessName, ObjectName, AccessMask
FROM   windows_security
WHERE  EventID IN (4656, 4663) AND ObjectType = 'Key' AND ObjectName ~* '\\control\\lsa\\(jd|skew1|gbg|data)$'
  AND  ProcessName NOT ILIKE '%\\lsass.exe' AND ProcessName NOT ILIKE '%\\svchost.exe'
